package dev.kleinscope.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.pipeline.ImageFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The examples do what they say, on the bundled miniature. */
class ExamplesTest {

    private static final String MODEL = Reference.TINY_KLEIN.toString();

    @TempDir
    Path folder;

    private static List<String> said(Consumer<String[]> example, String... args) {
        PrintStream before = System.out;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        System.setOut(new PrintStream(bytes, true, StandardCharsets.UTF_8));
        try {
            example.accept(args);
        } finally {
            System.setOut(before);
        }
        return bytes.toString(StandardCharsets.UTF_8).lines().toList();
    }

    @Test
    void blockNormsPrintsEachDoubleBlockOfEachStep() {
        List<String> lines = said(BlockNorms::main, MODEL);
        assertEquals(4 * 5, lines.size(), lines.toString());
        assertTrue(lines.getFirst().matches("step 1  transformer_blocks\\.0\\.img  \\d+\\.\\d+"), lines.getFirst());
        assertTrue(lines.getLast().matches("step 4  transformer_blocks\\.4\\.img  \\d+\\.\\d+"), lines.getLast());
    }

    @Test
    void topChannelsLooksAtOneActivationAndDraws() {
        Path picture = folder.resolve("picture.png");
        List<String> lines = said(TopChannels::main, MODEL, "transformer_blocks.4.img", picture.toString());
        assertTrue(lines.getFirst().startsWith("transformer_blocks.4.img[1, 256, 64]  norm "), lines.toString());
        assertEquals(6, lines.size());
        double[] shares = lines.stream().skip(1).mapToDouble(line -> Double.parseDouble(line.replaceFirst(".*  ([0-9.]+)%.*", "$1"))).toArray();
        for (int i = 1; i < shares.length; i++) {
            assertTrue(shares[i] <= shares[i - 1] && shares[i] > 0, lines.toString());
        }
        assertEquals(256, ImageFile.read(picture).width());
    }

    @Test
    void comparePromptsTellsThemApartAndAPromptNotFromItself() {
        List<String> apart = said(ComparePrompts::main, MODEL, "a red cube", "a portrait of an old man");
        assertEquals(25, apart.size());
        List<String> alike = said(ComparePrompts::main, MODEL, "a red cube", "a red cube");
        assertTrue(alike.stream().allMatch(line -> line.endsWith(" 0.0000")), alike.toString());
        assertTrue(apart.stream().allMatch(line -> line.matches("\\S+ +\\d+\\.\\d{4}")) && !apart.getLast().endsWith(" 0.0000"), apart.toString());
    }

    @Test
    void theReadmeShowsTheExampleAsItIs() throws IOException {
        String example = Files.readString(Path.of("src/examples/java/dev/kleinscope/examples/BlockNorms.java"));
        String shown = example.substring(example.indexOf("import "));
        String readme = Files.readString(Path.of("README.md"));
        assertTrue(readme.contains(shown.indent(4).stripTrailing()), "README.md does not hold this, indented by four:\n" + shown);
        String version = Files.readString(Path.of("pom.xml")).replaceFirst("(?s).*?<artifactId>kleinscope</artifactId>\\s*<version>([^<]*)<.*", "$1");
        assertTrue(readme.contains("<artifactId>kleinscope</artifactId><version>" + version + "</version>"), version);
        long lines = shown.lines().count() + 1;
        assertTrue(lines <= 10, "with the dependency it is " + lines + " lines");
    }
}
