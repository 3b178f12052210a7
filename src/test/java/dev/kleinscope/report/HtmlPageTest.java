package dev.kleinscope.report;

import static dev.kleinscope.report.PageParts.elements;
import static dev.kleinscope.report.PageParts.markup;
import static dev.kleinscope.report.PageParts.raw;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/** What holds for every report's page. */
class HtmlPageTest {

    static Stream<String> pages() {
        return Stream.of(NormsReport.html(SampleNorms.paired()), NormsReport.html(SampleNorms.original()),
                NormsReport.html(SampleNorms.paired(SampleNorms.HOSTILE, SampleNorms.HOSTILE, List.of("cond", "uncond"))),
                NormsReport.html(SampleNorms.points()),
                DiffReport.html(SampleDiff.of("a.safetensors", "b.safetensors")),
                DiffReport.html(SampleDiff.of(SampleNorms.HOSTILE, SampleNorms.HOSTILE)),
                InterpolationReport.html(SampleInterpolation.paired("a", "b", 3, 2, true), SampleInterpolation.thumbnails()),
                InterpolationReport.html(SampleInterpolation.original(SampleNorms.HOSTILE, SampleNorms.HOSTILE, false), _ -> null));
    }

    /** With those that have no charts. */
    static Stream<String> allPages() {
        return Stream.concat(pages(), Stream.of(
                AttentionReport.html(SampleAttention.of("a red cube", List.of("red"), 2, 2, true), SampleAttention.picture()),
                AttentionReport.html(SampleAttention.of(SampleNorms.HOSTILE, List.of(SampleNorms.HOSTILE), 1, 1, false), null),
                PatchReport.html(SamplePatching.of("a", "b", null, false)),
                PatchReport.html(SamplePatching.of(SampleNorms.HOSTILE, SampleNorms.HOSTILE, SampleNorms.HOSTILE, true))));
    }

    @ParameterizedTest
    @MethodSource("allPages")
    void markupIsWellFormedAndEveryIdOnceOnly(String page) throws Exception {
        Set<String> ids = new HashSet<>();
        Document document = markup(page);
        for (Element element : elements(document, "*")) {
            String id = element.getAttribute("id");
            assertTrue(id.isEmpty() || ids.add(id), id);
        }
        for (Element element : elements(document, "*")) {
            String name = element.getAttribute("aria-labelledby");
            assertTrue(name.isEmpty() || ids.contains(name), name);
        }
        assertEquals(1, elements(document, "h1").size());
        for (Element figure : elements(document, "figure")) {
            assertEquals(1, figure.getElementsByTagName("figcaption").getLength(), figure.getAttribute("id"));
        }
    }

    @ParameterizedTest
    @MethodSource("allPages")
    void nothingRefersOutsideTheFile(String page) throws Exception {
        for (Element element : elements(markup(page), "*")) {
            for (String attribute : List.of("src", "srcset", "href", "action", "background", "poster", "data", "ping")) {
                assertFalse(element.hasAttribute(attribute), element.getTagName() + " " + attribute);
            }
            assertFalse(element.getTagName().equals("link"));
        }
        for (MatchResult raw : raw(page)) {
            if (raw.group(2).contains("application/json")) {
                continue;
            }
            String code = raw.group(3).replaceAll("(?s)/\\*!.*?\\*/", "").replace("http://www.w3.org/2000/svg", "");
            assertFalse(Pattern.compile("https?:|@import|url\\(|sourceMappingURL|fetch\\(|XMLHttpRequest|sendBeacon|WebSocket")
                    .matcher(code).find());
        }
    }

    @ParameterizedTest
    @MethodSource("allPages")
    void thePolicyForbidsRequestsAndNamesEveryScriptAndStyleByItsHash(String page) throws Exception {
        String policy = elements(markup(page), "meta").stream()
                .filter(meta -> meta.getAttribute("http-equiv").equals("Content-Security-Policy")).findFirst().orElseThrow()
                .getAttribute("content");
        assertTrue(policy.startsWith("default-src 'none'; "), policy);
        assertFalse(policy.contains("unsafe"), policy);
        int hashed = 0;
        for (MatchResult raw : raw(page)) {
            if (!raw.group(2).contains("application/json")) {
                byte[] digest = MessageDigest.getInstance("SHA-256").digest(raw.group(3).getBytes(StandardCharsets.UTF_8));
                assertTrue(policy.contains("'sha256-" + Base64.getEncoder().encodeToString(digest) + "'"));
                hashed++;
            }
        }
        assertEquals(hashed, policy.split("sha256-", -1).length - 1);
        assertEquals(page.contains("Chart.js Contributors") ? 3 : 2, hashed, "the style, Chart.js if there are plots, and the report's own script");
    }

    @ParameterizedTest
    @MethodSource("pages")
    void theLicenceOfTheChartsComesWithThem(String page) {
        assertTrue(page.contains("(c) 2025 Chart.js Contributors"));
        assertTrue(page.contains("The above copyright notice and this permission notice shall be included"));
    }
}
