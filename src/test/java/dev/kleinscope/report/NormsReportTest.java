package dev.kleinscope.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.analysis.NormRow;
import dev.kleinscope.analysis.PairedNorms;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class NormsReportTest {

    /** As HTML reads them: a script or style ends at the first end tag of its name, whatever stands around it. */
    private static final Pattern RAW = Pattern.compile("(?is)<(script|style)([^>]*)>(.*?)</\\1\\s*>");

    @TempDir
    Path folder;

    static Stream<String> pages() {
        return Stream.of(NormsReport.html(SampleNorms.paired()), NormsReport.html(SampleNorms.original()),
                NormsReport.html(SampleNorms.paired(SampleNorms.HOSTILE, SampleNorms.HOSTILE, List.of("cond", "uncond"))));
    }

    @ParameterizedTest
    @MethodSource("pages")
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
    @MethodSource("pages")
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
    @MethodSource("pages")
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
        assertEquals(3, hashed, "the style, Chart.js and the report's own script");
    }

    @ParameterizedTest
    @MethodSource("pages")
    void theLicenceOfTheChartsComesWithThem(String page) {
        assertTrue(page.contains("(c) 2025 Chart.js Contributors"));
        assertTrue(page.contains("The above copyright notice and this permission notice shall be included"));
    }

    @Test
    void hostilePromptsStayDataAndArriveWhole() throws Exception {
        String tame = NormsReport.html(SampleNorms.paired());
        String hostile = NormsReport.html(SampleNorms.paired(SampleNorms.HOSTILE, "word ".repeat(10_000), List.of("cond")));
        assertEquals(raw(tame).size(), raw(hostile).size());
        assertEquals(elements(markup(tame), "*").size(), elements(markup(hostile), "*").size());
        assertEquals(RAW.matcher(tame).replaceAll("").replaceAll("sha256-[^']*", ""),
                RAW.matcher(hostile).replaceAll("").replaceAll("sha256-[^']*", ""));
        JsonNode data = data(hostile);
        assertEquals(SampleNorms.HOSTILE, data.get("safe").asString());
        assertEquals(SampleNorms.HOSTILE, data.get("parameters").get("safe").asString());
        assertEquals("word ".repeat(10_000), data.get("extreme").asString());
    }

    @Test
    void foreignTextHasNoCharacterThatMarkupOrReadingDirectionCouldTurnOn() {
        String page = NormsReport.html(SampleNorms.paired(SampleNorms.HOSTILE, SampleNorms.HOSTILE, List.of("cond")));
        String json = raw(page).stream().filter(raw -> raw.group(2).contains("application/json")).findFirst().orElseThrow().group(3);
        assertTrue(json.chars().allMatch(c -> c >= ' ' && c < 127 && c != '<' && c != '>' && c != '&'));
    }

    @Test
    void gridsHoldEveryRowAtItsStepAndSeed() {
        PairedNorms norms = SampleNorms.paired("a", "b", List.of("cond", "uncond"));
        JsonNode data = data(NormsReport.html(norms));
        assertEquals("D0", data.get("axis").get(0).asString());
        assertEquals("S19", data.get("axis").get(24).asString());
        NormRow row = norms.rows().get(norms.rows().size() - 3);
        JsonNode series = data.get("series").valueStream().filter(each -> each.get("point").asString().equals(row.point())
                && each.get("stream").asString().equals(row.stream()) && each.get("measure").asString().equals(row.measure())
                && each.get("pass").asString().equals(row.pass())).findFirst().orElseThrow();
        assertEquals(row.value(), series.get(row.prompt()).get(row.step()).get((int) row.seed()).asDouble(), 1e-8 * row.value());
        long cells = data.get("series").valueStream()
                .mapToLong(each -> 2L * each.get("safe").size() * each.get("safe").get(0).size()).sum();
        assertEquals(norms.rows().size(), cells);
    }

    @Test
    void blocksAreLabelledAsOnTheAxes() {
        assertEquals("D4", NormsData.label("transformer_blocks.4.txt"));
        assertEquals("S19", NormsData.label("single_transformer_blocks.19"));
        assertEquals("D0", NormsData.label("DoubleStream_Layer_0"));
        assertEquals("S7", NormsData.label("SingleStream_Layer_7"));
        assertEquals("proj_out", NormsData.label("proj_out"));
    }

    @Test
    void aRunThatMeasuredNothingIsRefusedWithWhatToDo() {
        PairedNorms empty = new PairedNorms("a", "b", List.of(), List.of(), List.of(), List.of(), Map.of(), Map.of(), "", List.of());
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> NormsReport.html(empty));
        assertTrue(e.getMessage().contains("watch a block's output"), e.getMessage());
    }

    @Test
    void theFileHoldsThePage() throws IOException {
        PairedNorms norms = SampleNorms.paired();
        Path target = folder.resolve("report.html");
        NormsReport.write(target, norms);
        assertEquals(NormsReport.html(norms), Files.readString(target));
    }

    private static Document markup(String page) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(new InputSource(new StringReader(RAW.matcher(page).replaceAll("<$1/>"))));
    }

    private static List<MatchResult> raw(String page) {
        List<MatchResult> found = new ArrayList<>();
        for (Matcher matcher = RAW.matcher(page); matcher.find();) {
            found.add(matcher.toMatchResult());
        }
        return found;
    }

    private static JsonNode data(String page) {
        return raw(page).stream().filter(raw -> raw.group(2).contains("application/json")).findFirst()
                .map(raw -> JsonMapper.shared().readTree(raw.group(3))).orElseThrow();
    }

    private static List<Element> elements(Document document, String name) {
        NodeList found = document.getElementsByTagName(name);
        return IntStream.range(0, found.getLength()).mapToObj(i -> (Element) found.item(i)).toList();
    }
}
