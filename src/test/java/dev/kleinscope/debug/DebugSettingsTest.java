package dev.kleinscope.debug;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import tools.jackson.databind.ObjectMapper;

/** What {@code tools/debug} and the worked session say of the code. */
class DebugSettingsTest {

    private static final Path SETTINGS = Path.of("tools", "debug");

    @Test
    void theRenderersExpressionsAreMethodsOfTheirClasses() throws Exception {
        Document document = DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(SETTINGS.resolve("intellij/debugger.xml").toFile());
        int expressions = 0;
        for (Element renderer : elements(document.getDocumentElement(), "Renderer")) {
            if (!renderer.getAttribute("ID").equals("CompoundNodeRenderer")) {
                continue;
            }
            String type = options(renderer, "QUALIFIED_NAME").getFirst();
            List<String> texts = new ArrayList<>(options(renderer, "LABEL_EXPRESSION"));
            elements(renderer, "TextWithImports").forEach(text -> texts.add(text.getAttribute("text")));
            for (String text : texts) {
                Matcher call = Pattern.compile("(\\w+)\\((\\w*)\\)").matcher(text);
                assertTrue(call.matches(), text);
                int parameters = call.group(2).isEmpty() ? 0 : 1;
                assertTrue(Arrays.stream(Class.forName(type).getMethods()).anyMatch(method -> method.getName().equals(call.group(1))
                        && method.getParameterCount() == parameters), type + " has no " + text);
                expressions++;
            }
        }
        assertEquals(8, expressions);
    }

    @Test
    void whatAttachesUsesThePortOfTheLauncher() throws Exception {
        var launch = new ObjectMapper().readTree(SETTINGS.resolve("vscode/launch.json").toFile()).path("configurations").path(0);
        assertEquals("attach", launch.path("request").asString());
        assertEquals(5005, launch.path("port").asInt());
        assertTrue(new ObjectMapper().readTree(SETTINGS.resolve("vscode/settings.json").toFile())
                .path("java.debug.settings.showToString").asBoolean());
        Document run = DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(SETTINGS.resolve("intellij/Attach_to_Kleinscope.run.xml").toFile());
        assertEquals(List.of("5005"), options(run.getDocumentElement(), "PORT"));
        assertTrue(Files.readString(Path.of("tools", "lib", "run.sh")).contains("port=5005"));
    }

    @Test
    void theWorkedSessionStopsWhereADoubleBlockReturns() throws Exception {
        List<MatchResult> stops = Pattern.compile("dev\\.kleinscope\\.model\\.dit\\.DoubleBlock:(\\d+)")
                .matcher(Files.readString(Path.of("src", "docs", "debugging.md"))).results().toList();
        assertFalse(stops.isEmpty());
        List<String> lines = Files.readAllLines(Path.of("src/main/java/dev/kleinscope/model/dit/DoubleBlock.java"));
        for (MatchResult stop : stops) {
            String line = lines.get(Integer.parseInt(stop.group(1)) - 1);
            assertEquals("return new Streams(frame.escape(out), txtOut, imgOut);", line.strip(),
                    "src/docs/debugging.md stops at line " + stop.group(1));
        }
    }

    private static List<Element> elements(Element parent, String tag) {
        NodeList nodes = parent.getElementsByTagName(tag);
        List<Element> elements = new ArrayList<>();
        for (int i = 0; i < nodes.getLength(); i++) {
            elements.add((Element) nodes.item(i));
        }
        return elements;
    }

    private static List<String> options(Element parent, String name) {
        return elements(parent, "option").stream().filter(option -> option.getAttribute("name").equals(name))
                .map(option -> option.getAttribute("value")).toList();
    }
}
