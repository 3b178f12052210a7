package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class GemmOptionTest {

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int validate(Path model, String cases, String... options) {
        List<String> line = new ArrayList<>(List.of("validate", "-m", model.toString()));
        line.addAll(List.of(options));
        line.add("--case");
        Stream.of(cases.split(" ")).map(name -> Reference.caseFile(name).toString()).forEach(line::add);
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), line.toArray(String[]::new));
    }

    @ParameterizedTest
    @CsvSource({
        "tiny-klein, dit-tiny-klein dit-tiny-klein-batch2 dit-tiny-klein-refimage", "dit-head128, dit-head128",
        "dit-guidance, dit-guidance", "dit-uneven, dit-uneven", "dit-single, dit-single", "tiny-klein, text-encoder",
        "text-30, text-30", "text-27, text-27", "tiny-klein, vae", "vae-noquant, vae-noquant",
        "tiny-klein, pipeline-distilled pipeline-second pipeline-cfg pipeline-refimage pipeline-tworefs",
        "tiny-klein, pipeline-lerp-0.25 pipeline-lerp-0.5 pipeline-lerp-0.9", "clip-gelu, clip-gelu", "clip-quick, clip-quick"})
    void everyCasePassesWithOneDnnWithinTheTolerancesOfOurOwnKernel(String model, String cases) {
        assumeTrue(OneDnnLibrary.isAvailable(), OneDnnLibrary::whyNot);
        Path path = model.equals("tiny-klein") ? Reference.TINY_KLEIN : Reference.FOLDER.resolve(model);
        assertEquals(ExitCodes.OK, validate(path, cases, "--backend", "cpu", "--gemm", "onednn"), out + "\n" + err);
        assertTrue(out.toString().contains("products by oneDNN"), out.toString());
    }

    @ParameterizedTest
    @CsvSource({"java", "onednn"})
    void whatMultipliedIsSaid(String gemm) {
        assumeTrue(gemm.equals("java") || OneDnnLibrary.isAvailable(), OneDnnLibrary::whyNot);
        assertEquals(ExitCodes.OK, validate(Reference.FOLDER.resolve("dit-single"), "dit-single", "--backend", "cpu", "--gemm", gemm,
                "--json"), out + "\n" + err);
        JsonNode json = new ObjectMapper().readTree(out.toString());
        assertEquals(gemm, json.path("gemm").asString());
    }

    @Test
    void unaskedItIsOneDnnWhereThatCanBeUsed() {
        assertEquals(ExitCodes.OK, validate(Reference.FOLDER.resolve("dit-single"), "dit-single", "--backend", "cpu", "--json"), out + "\n" + err);
        assertEquals(OneDnnLibrary.isAvailable() ? "onednn" : "java", new ObjectMapper().readTree(out.toString()).path("gemm").asString());
    }

    @Test
    void aPictureIsDrawnAgainByWhatDrewIt() throws IOException {
        Path first = folder.resolve("first.png");
        Path again = folder.resolve("again.png");
        assertEquals(ExitCodes.OK, Main.run(new PrintWriter(out, true), new PrintWriter(err, true), "generate", "-p", "a cube", "--size", "32x32",
                "--steps", "1", "--max-tokens", "32", "--backend", "cpu", "--gemm", "java", "-o", first.toString()), err.toString());
        assertEquals(ExitCodes.OK, Main.run(new PrintWriter(out, true), new PrintWriter(err, true), "generate", "--from-metadata", first.toString(),
                "-o", again.toString()), err.toString());
        assertEquals("java", PictureRecord.read(again).gemm());
        assertArrayEquals(Files.readAllBytes(first), Files.readAllBytes(again));
    }

    @Test
    void anotherBackendRefusesIt() {
        assertEquals(ExitCodes.BAD_INPUT, validate(Reference.FOLDER.resolve("dit-single"), "dit-single", "--backend", "reference", "--gemm",
                "java"), out + "\n" + err);
        assertTrue(err.toString().contains("--gemm java needs --backend cpu, but reference was chosen"), err.toString());
    }
}
