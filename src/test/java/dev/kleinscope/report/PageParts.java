package dev.kleinscope.report;

import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A report's page taken apart. */
final class PageParts {

    /** As HTML reads them: a script or style ends at the first end tag of its name, whatever stands around it. */
    static final Pattern RAW = Pattern.compile("(?is)<(script|style)([^>]*)>(.*?)</\\1\\s*>");

    private PageParts() {
    }

    static Document markup(String page) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(new InputSource(new StringReader(RAW.matcher(page).replaceAll("<$1/>"))));
    }

    static List<MatchResult> raw(String page) {
        List<MatchResult> found = new ArrayList<>();
        for (Matcher matcher = RAW.matcher(page); matcher.find();) {
            found.add(matcher.toMatchResult());
        }
        return found;
    }

    static JsonNode data(String page) {
        return raw(page).stream().filter(raw -> raw.group(2).contains("application/json")).findFirst()
                .map(raw -> JsonMapper.shared().readTree(raw.group(3))).orElseThrow();
    }

    static List<Element> elements(Document document, String name) {
        NodeList found = document.getElementsByTagName(name);
        return IntStream.range(0, found.getLength()).mapToObj(i -> (Element) found.item(i)).toList();
    }

    /** What is left of a page without its scripts, style and their hashes. */
    static String frame(String page) {
        return RAW.matcher(page).replaceAll("").replaceAll("sha256-[^']*", "");
    }
}
