package dev.kleinscope.report;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A report's page: one file with style, scripts and data inside. Data reaches the page only as JSON in an inert
 * {@code <script>} element; the scripts show it as text, never as markup. The content security policy forbids every request
 * and names each script and the style by its SHA-256, so that nothing else on the page could run even if it got there.
 */
final class HtmlPage {

    private static final String CHARTS = "/META-INF/resources/webjars/chart.js/4.5.1/";
    private static final Pattern SLOT = Pattern.compile("\\{\\{([a-z]+)}}");

    private final String title;
    private final List<String> scripts = new ArrayList<>();
    private final StringBuilder own = new StringBuilder();
    private String body = "";
    private String data = "{}";

    private HtmlPage(String title) {
        this.title = title;
        own.append(own("dom.js")).append(own("tables.js"));
    }

    /** @param title our own words, plain text without markup */
    static HtmlPage titled(String title) {
        return new HtmlPage(title);
    }

    /** The page's content, an HTML fragment among this package's resources. */
    HtmlPage body(String resource) {
        body = own(resource);
        return this;
    }

    /** Adds Chart.js and {@code plots.js}, which draws with it. */
    HtmlPage charts() {
        String source = text(CHARTS + "dist/chart.umd.min.js").replaceFirst("\\R//# sourceMappingURL=.*\\s*$", "\n");
        scripts.add("/*!\n" + text(CHARTS + "LICENSE.md")
                + "\nIncludes @kurkle/color, (c) Jukka Kurkela, under the same licence.\n*/\n" + source);
        return script("plots.js");
    }

    /** Adds scripts of this package's resources; all share one scope, in the order added. */
    HtmlPage script(String... resources) {
        for (String resource : resources) {
            own.append(own(resource));
        }
        return this;
    }

    /** What the scripts show: maps, lists, numbers and strings, of which none is trusted. */
    HtmlPage data(Object tree) {
        data = Json.forScript(tree);
        return this;
    }

    String html() {
        List<String> all = new ArrayList<>(scripts);
        all.add("(function () {\n\"use strict\";\n" + own + "})();\n");
        String style = own("page.css");
        StringBuilder elements = new StringBuilder();
        StringBuilder allowed = new StringBuilder();
        for (String script : all) {
            if (script.contains("</script") || script.contains("<!--")) {
                throw new IllegalStateException("a script of the report's page would end its own element");
            }
            elements.append("<script>").append(script).append("</script>\n");
            allowed.append(' ').append(hash(script));
        }
        Map<String, String> slots = Map.of("title", title, "style", style, "body", body, "data", data,
                "scripts", elements.toString(), "policy", "default-src 'none'; script-src" + allowed + "; style-src "
                        + hash(style) + "; img-src data:; base-uri 'none'; form-action 'none'");
        // In one pass, so that braces within what is filled in are not slots themselves.
        return SLOT.matcher(own("frame.html")).replaceAll(slot -> Matcher.quoteReplacement(slots.get(slot.group(1))));
    }

    private static String hash(String content) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(content.getBytes(StandardCharsets.UTF_8));
            return "'sha256-" + Base64.getEncoder().encodeToString(digest) + "'";
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java runtime has SHA-256", e);
        }
    }

    private static String own(String resource) {
        return text("/dev/kleinscope/report/" + resource);
    }

    /** A policy's hash is of what a browser reads, and a browser reads CRLF as LF. */
    private static String text(String resource) {
        try (InputStream in = HtmlPage.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IllegalStateException(resource + ": not on the class path; the installation is incomplete");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).replace("\r\n", "\n");
        } catch (IOException e) {
            throw new UncheckedIOException(resource + ": cannot be read", e);
        }
    }
}
