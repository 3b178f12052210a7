package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.SafetensorsWriter;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** Interventions on the command line. */
class InterveneOptionsTest {

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... args) {
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), args);
    }

    private byte[] draw(String name, String... more) throws IOException {
        String[] args = Arrays.copyOf(new String[] {"generate", "-o", folder.resolve(name).toString()}, 3 + more.length);
        System.arraycopy(more, 0, args, 3, more.length);
        assertEquals(ExitCodes.OK, run(args), err.toString());
        return Files.readAllBytes(folder.resolve(name));
    }

    private static final String[] CUBE = {"-p", "a red cube", "--size", "32x48", "--steps", "2", "--max-tokens", "32", "--backend", "cpu"};

    private static String[] cube(String... more) {
        String[] args = Arrays.copyOf(CUBE, CUBE.length + more.length);
        System.arraycopy(more, 0, args, CUBE.length, more.length);
        return args;
    }

    @Test
    void aChangedPictureIsDrawnAgainFromItsMetadata() throws IOException {
        Path vectors = folder.resolve("v.safetensors");
        try (SafetensorsWriter writer = SafetensorsWriter.create(vectors,
                List.of(new SafetensorsWriter.Declaration("v", DType.F32, Shape.of(64))), Map.of())) {
            float[] steer = new float[64];
            Arrays.fill(steer, 3);
            writer.write("v", steer);
            writer.commit();
        }
        Path list = folder.resolve("changes.txt");
        Files.writeString(list, "# first\nsingle_transformer_blocks.3:zero,stream=prompt # words\n\n");
        byte[] plain = draw("plain.png", cube());
        byte[] changed = draw("changed.png", cube("--interventions", list.toString(), "--intervene",
                "transformer_blocks.2.img:add=" + vectors + ",steps=1"));
        assertFalse(Arrays.equals(plain, changed));
        assertArrayEquals(changed, draw("again.png", "--from-metadata", folder.resolve("changed.png").toString()));
    }

    @Test
    void aRunRecordsItsInterventionsAndLimitsThemToOnePrompt() throws IOException {
        assertEquals(ExitCodes.OK, run("norms", "--size", "32x32", "--seeds", "1", "--steps", "1", "--max-tokens", "32", "--backend", "cpu",
                "--safe", "a red cube", "--extreme", "a red cube", "--intervene", "transformer_blocks.1.img:scale=1.05", "--intervene-in",
                "extreme", "-o", folder.resolve("norms").toString()), err.toString());
        JsonNode parameters = new ObjectMapper().readTree(folder.resolve("norms/run.json").toFile()).path("parameters");
        assertEquals("transformer_blocks.1.img:scale=1.05", parameters.path("interventions").path(0).stringValue());
        assertEquals("extreme", parameters.path("intervene_in").stringValue());
        List<String> rows = Files.readAllLines(folder.resolve("norms/norms.csv"));
        assertEquals(1.05, value(rows, "extreme", "transformer_blocks.1.img") / value(rows, "safe", "transformer_blocks.1.img"), 1e-6);
        assertEquals(value(rows, "safe", "transformer_blocks.0.img"), value(rows, "extreme", "transformer_blocks.0.img"));
    }

    private static double value(List<String> rows, String prompt, String point) {
        return rows.stream().filter(row -> row.startsWith(prompt + ",") && row.contains("," + point + ",image,N,"))
                .mapToDouble(row -> Double.parseDouble(row.substring(row.lastIndexOf(',') + 1))).findFirst().orElseThrow();
    }

    @Test
    void aWrongInterventionIsBadInputBeforeAnythingIsDrawn() {
        Map<String, String> reasons = Map.of("transformer_blocks.9.img:zero", "no probe point is called", "x_embedder:zeros",
                "expected a change after the colon", "x_embedder:zero,steps=2", "the run has steps 0 to 1", "x_embedder:add=nowhere.safetensors",
                "nowhere.safetensors does not exist", "x_embedder:zero,tokens=0-6", "has all tokens 0 to 5");
        reasons.forEach((text, reason) -> {
            err.getBuffer().setLength(0);
            String[] args = cube("--intervene", text, "-o", folder.resolve("none.png").toString());
            String[] whole = new String[args.length + 1];
            whole[0] = "generate";
            System.arraycopy(args, 0, whole, 1, args.length);
            assertEquals(ExitCodes.BAD_INPUT, run(whole), text);
            assertTrue(err.toString().contains(reason), err.toString());
            assertFalse(Files.exists(folder.resolve("none.png")));
        });
        assertEquals(ExitCodes.BAD_INPUT, run("norms", "--intervene-in", "safe", "-o", folder.toString()));
    }

    @Test
    void aFileOfInterventionsThatIsNoneIsBadInput() throws IOException {
        Path noPath = Files.writeString(folder.resolve("nul.txt"), "x_embedder:add=a\0b.safetensors\n");
        Map<Path, String> reasons = Map.of(noPath, "is no path of a file", Path.of("/dev/zero"), "has more than 1048576 bytes");
        reasons.forEach((file, reason) -> {
            err.getBuffer().setLength(0);
            assertEquals(ExitCodes.BAD_INPUT, run("norms", "--interventions", file.toString(), "-o", folder.resolve("out").toString()));
            assertTrue(err.toString().contains(reason), err.toString());
        });
    }
}
