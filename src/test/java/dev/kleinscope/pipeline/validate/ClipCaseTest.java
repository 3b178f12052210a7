package dev.kleinscope.pipeline.validate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.ClipPixels;
import dev.kleinscope.pipeline.ClipScorer;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.ModelFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.ObjectMapper;

class ClipCaseTest {

    private static final String REFERENCE = "src/test/resources/reference/";
    private static final double TOLERANCE = 1e-5;

    private final Ops ops = new ReferenceOps();

    @TempDir
    private Path folder;

    @AfterEach
    void close() {
        ops.close();
    }

    private List<TensorCheck> run(String model, Path file) {
        try (ClipScorer scorer = new ClipScorer(ModelFiles.resolve(model), ops); ReferenceCase reference = ReferenceCase.open(file)) {
            ClipPixels pixels = scorer.hasPixels() ? scorer.pixels() : null;
            return ClipCase.run(reference, scorer.clip(), pixels, ops);
        }
    }

    private static Path caseFile(String name) {
        return Path.of(REFERENCE, "cases", name + ".safetensors");
    }

    private static TensorCheck pixels(List<TensorCheck> checks) {
        return checks.stream().filter(check -> check.name().equals("0.pixel_values")).findFirst().orElseThrow();
    }

    /** Of each pair: the pixels where an image lies beside the case, then both embeddings. */
    @ParameterizedTest
    @CsvSource({"clip,weights/clip-tiny,12", "clip-gelu," + REFERENCE + "clip-gelu,4", "clip-quick," + REFERENCE + "clip-quick,4"})
    void embeddingsAndPixelsAreThoseOfTransformers(String name, String model, int checks) {
        List<TensorCheck> found = run(model, caseFile(name));
        assertEquals(checks, found.size());
        for (TensorCheck check : found) {
            assertTrue(check.within(TOLERANCE), check.toString());
        }
    }

    /** 94 values are 1% of an image of 3 x 56 x 56. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"1|94|", "-1|94|", "1|95|95 of 9408 values are one off; expected at most 1%", "2|1|value 0: expected "})
    void atMostAHundredthOfThePixelsMayBeALevelOff(int levels, int values, String problem) throws IOException {
        Files.copy(caseFile("clip").resolveSibling("image-0.png"), folder.resolve("image-0.png"));
        Path file = folder.resolve("clip.safetensors");
        byte[] bytes = Files.readAllBytes(caseFile("clip"));
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int header = (int) buffer.getLong(0);
        int from = 8 + header + new ObjectMapper().readTree(new String(bytes, 8, header, StandardCharsets.UTF_8))
                .get("0.pixel_values").get("data_offsets").get(0).asInt();
        for (int i = 0; i < values; i++) {
            int at = from + 4 * i;
            buffer.putFloat(at, (float) (buffer.getFloat(at) + levels / (255 * 0.26862954)));
        }
        Files.write(file, bytes);
        TensorCheck check = pixels(run("weights/clip-tiny", file));
        assertEquals(problem == null, check.within(TOLERANCE), check.toString());
        if (problem == null) {
            assertEquals(1, check.difference().maxAbs(), 1e-3);
        } else {
            assertTrue(check.toString().startsWith("0.pixel_values: 8-bit levels of image-0.png: "), check.toString());
            assertTrue(check.toString().contains(problem), check.toString());
        }
    }

    @Test
    void anImageThatCannotBeReadFailsItsOwnCheckAlone() throws IOException {
        Path file = folder.resolve("clip.safetensors");
        Files.copy(caseFile("clip"), file);
        Files.writeString(folder.resolve("image-0.png"), "no image");
        List<TensorCheck> failed = run("weights/clip-tiny", file).stream().filter(check -> !check.within(TOLERANCE)).toList();
        assertEquals(List.of("0.pixel_values"), failed.stream().map(TensorCheck::name).toList());
        assertTrue(failed.getFirst().toString().contains("image-0.png"), failed.toString());
    }

    @Test
    void aCaseOfAnotherModelDoesNotFit() {
        ModelException error = assertThrows(ModelException.class, () -> run("weights/clip-tiny", caseFile("clip-quick")));
        assertTrue(error.getMessage().contains("does not fit the model: "), error.getMessage());
        ModelException other = assertThrows(ModelException.class, () -> run("weights/clip-tiny", caseFile("dit-tiny-klein")));
        assertTrue(other.getMessage().contains("it has no tensor 0.input_ids"), other.getMessage());
    }
}
