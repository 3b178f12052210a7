package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.Safetensors;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class AttentionCommandTest {

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int attention(String... more) {
        List<String> args = new ArrayList<>(List.of("attention", "--out", folder.resolve("out").toString(), "--size", "48x32", "--steps", "2",
                "--max-tokens", "40", "--backend", "cpu", "--gemm", "java"));
        args.addAll(List.of(more));
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), args.toArray(String[]::new));
    }

    private Path file(String name) {
        return folder.resolve("out").resolve(name);
    }

    @Test
    void theDemonstrationLeavesItsFilesAndSaysWhatTheyCannotShow() throws IOException {
        assertEquals(ExitCodes.OK, attention(), err.toString());
        List<String> csv = Files.readAllLines(file("attention.csv"));
        assertEquals("step,pass,block,head,from,to,word,measure,value", csv.getFirst());
        // two steps of 25 blocks of 2 heads: the image's entropy and 10 shares, 4 other sets' and 5 words' entropy and 5 shares
        assertEquals(1 + 2 * 25 * 2 * (11 + 9 * 6), csv.size());
        assertTrue(csv.stream().anyMatch(line -> line.startsWith("1,cond,single_transformer_blocks.19,1,image,word,cube,share,0.")));
        JsonNode json = new ObjectMapper().readTree(file("attention.json").toFile());
        assertEquals(64, json.path("parameters").path("weights").path("transformer").path("fingerprint").asString().length());
        assertEquals("48x32", json.path("parameters").path("size").asString());
        assertTrue(Files.readString(file("attention.html")).contains("</html>"));
        try (Safetensors maps = Safetensors.open(file("attention-maps.safetensors"))) {
            assertEquals(Shape.of(25, 2, 2, 3), maps.tensor("map.0").shape());
            assertEquals("cube", maps.metadata().get("word.2"));
        }
        assertTrue(out.toString().contains("not causal evidence"), out.toString());
        assertTrue(out.toString().contains("masks no padding"), out.toString());
        assertEquals(List.of("attention-maps.safetensors", "attention.csv", "attention.html", "attention.json", "attention.png"), left());
    }

    private List<String> left() throws IOException {
        try (Stream<Path> files = Files.list(folder.resolve("out"))) {
            return files.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void thePictureIsTheOneThatGenerateDraws() throws IOException {
        assertEquals(ExitCodes.OK, attention("-p", "a red cube", "--seed", "3"), err.toString());
        Path drawn = folder.resolve("drawn.png");
        assertEquals(ExitCodes.OK, Main.run(new PrintWriter(out, true), new PrintWriter(err, true), "generate", "-p", "a red cube", "--seed", "3",
                "--size", "48x32", "--steps", "2", "--max-tokens", "40", "--backend", "cpu", "--gemm", "java", "-o", drawn.toString()), err.toString());
        assertEquals(ImageFile.read(drawn), ImageFile.read(file("attention.png")));
    }

    @Test
    void jsonStandsAloneOnStandardOutput() {
        assertEquals(ExitCodes.OK, attention("--json", "--words", "CUBE, red cube"), err.toString());
        JsonNode json = new ObjectMapper().readTree(out.toString());
        assertEquals("kleinscope.attention/1", json.path("schema").asString());
        assertEquals(List.of("cube", "red cube"), json.path("words").valueStream().map(word -> word.path("word").asString()).toList());
    }

    @Test
    void chosenBlocksAndStepsAreTheOnlyOnesLookedAt() throws IOException {
        assertEquals(ExitCodes.OK, attention("--blocks", "double_blocks.4,single_blocks.*", "--at-steps", "1", "--words", "red", "--heads"),
                err.toString());
        List<String[]> rows = Files.readAllLines(file("attention.csv")).stream().skip(1).map(line -> line.split(",")).toList();
        assertEquals(List.of("1"), rows.stream().map(row -> row[0]).distinct().toList());
        assertEquals(21, rows.stream().map(row -> row[2]).distinct().count());
        assertEquals("transformer_blocks.4", rows.getFirst()[2]);
        assertTrue(out.toString().contains("single_transformer_blocks.19, 1 "), out.toString());
    }

    @Test
    void aGuidedRunLooksAtBothPasses() throws IOException {
        assertEquals(ExitCodes.OK, attention("--distilled", "false", "--guidance", "3", "--words", "red"), err.toString());
        List<String> rows = Files.readAllLines(file("attention.csv"));
        assertTrue(rows.stream().anyMatch(row -> row.startsWith("0,uncond,transformer_blocks.0,0,image,padding,,share,")));
        assertFalse(rows.stream().anyMatch(row -> row.contains(",uncond,") && (row.contains(",prompt,") || row.contains(",word,"))));
        assertTrue(rows.stream().anyMatch(row -> row.startsWith("0,cond,transformer_blocks.0,0,word,image,red,share,")));
    }

    @Test
    void theSameRunGivesTheSameNumbers() throws IOException {
        assertEquals(ExitCodes.OK, attention("--words", "red"));
        String first = Files.readString(file("attention.csv"));
        byte[] maps = Files.readAllBytes(file("attention-maps.safetensors"));
        assertEquals(ExitCodes.OK, attention("--words", "red"));
        assertEquals(first, Files.readString(file("attention.csv")));
        assertEquals(0, Arrays.compare(maps, Files.readAllBytes(file("attention-maps.safetensors"))));
    }

    @Test
    void aLongPromptIsCutAndSaysSo() {
        String prompt = "word ".repeat(60) + "cube";
        assertEquals(ExitCodes.BAD_INPUT, attention("-p", prompt, "--words", "cube"));
        assertTrue(err.toString().contains("stands beyond the 40 tokens"), err.toString());
        assertEquals(ExitCodes.OK, attention("-p", prompt), err.toString());
        assertTrue(err.toString().contains("tokens are cut"), err.toString());
    }

    @Test
    void aPromptWithoutWordsHasNoMaps() throws IOException {
        assertEquals(ExitCodes.OK, attention("-p", "?!"), err.toString());
        try (Safetensors maps = Safetensors.open(file("attention-maps.safetensors"))) {
            assertEquals(0, maps.names().size());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "--words blue | \"blue\" is not in the prompt, whose words are a, red, cube, on, table",
        "--words ub | \"ub\" is not in the prompt",
        "--words red,,cube | expected words or phrases",
        "--words _ | expected words or phrases",
        "--words <script>alert(1)</script> | is not in the prompt",
        "--words r\u001B[31med | \"r?[31med\" is not in the prompt",
        "--words 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17 | at most 16",
        "--blocks proj_out | names no block",
        "--blocks transformer_block.4 | no probe point is called",
        "--at-steps 2 | 2",
        "--at-steps x | not a list of steps",
        "--prompt _ | the prompt is empty",
        "--guidance -1 | --guidance -1.0: expected",
        "--model weights/tiny-klein/transformer | tokenizer"})
    void wrongInputIsNamedInASentenceAndLeavesNothing(String args, String message) {
        List<String> line = Stream.of(args.split(" ")).map(arg -> arg.equals("_") ? " " : arg).toList();
        assertEquals(ExitCodes.BAD_INPUT, attention(line.toArray(String[]::new)), out + "\n" + err);
        assertTrue(err.toString().contains(message), err.toString());
        assertTrue(err.toString().lines().filter(text -> text.startsWith("kleinscope: ")).findFirst().orElseThrow().length() < 600, err.toString());
        assertFalse(Files.exists(folder.resolve("out")));
        assertEquals("", out.toString());
    }

    @Test
    void aWordOfManyCharactersIsRefusedShortly() {
        assertEquals(ExitCodes.BAD_INPUT, attention("--words", "x".repeat(100_000)));
        assertTrue(err.toString().length() < 1000, "said " + err.toString().length() + " characters");
    }
}
