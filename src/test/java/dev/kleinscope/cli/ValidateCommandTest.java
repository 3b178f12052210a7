package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class ValidateCommandTest {

    private static final String MODEL = Reference.TINY_KLEIN.toString();
    private static final String DIT = Reference.caseFile("dit-tiny-klein-batch2").toString();
    private static final String TEXT = Reference.caseFile("text-encoder").toString();

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int validate(String... args) {
        String[] line = new String[args.length + 1];
        line[0] = "validate";
        System.arraycopy(args, 0, line, 1, args.length);
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), line);
    }

    @Test
    void passingCasesSayToleranceAndWorstTensor() {
        assertEquals(ExitCodes.OK, validate("-m", MODEL, "--case", DIT, TEXT), out + "\n" + err);
        assertTrue(out.toString().contains("tolerance"), out.toString());
        assertTrue(out.toString().contains("worst: "), out.toString());
        assertEquals("2 of 2 cases pass", out.toString().strip().lines().toList().getLast());
    }

    @Test
    void jointBlocksAreAlsoComparedByStream() throws IOException {
        byte[] bytes = Files.readAllBytes(Path.of(DIT));
        int header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
        JsonNode entries = new ObjectMapper().readTree(new String(bytes, 8, header, StandardCharsets.UTF_8));
        int end = 8 + header + entries.path("act.single_transformer_blocks.3").path("data_offsets").path(1).asInt();
        // of the last image token
        bytes[end - 1] ^= (byte) 0xC0;
        Path changed = folder.resolve("changed.safetensors");
        Files.write(changed, bytes);
        assertEquals(ExitCodes.FINDING, validate("-m", MODEL, "--case", changed.toString(), "--json"), out.toString());
        int blocks = 0;
        for (JsonNode check : new ObjectMapper().readTree(out.toString()).get("cases").get(0).get("checks")) {
            boolean joint = check.get("name").asString().matches("act\\.single_transformer_blocks\\.[0-9]+");
            assertEquals(joint, check.hasNonNull("streams"), check.toString());
            if (joint) {
                blocks++;
                assertTrue(check.get("streams").get("txt").asDouble() < 5e-5, check.toString());
                assertEquals(check.get("name").asString().endsWith(".3"), check.get("streams").get("img").asDouble() > 5e-5,
                        check.toString());
            }
        }
        assertTrue(blocks > 0, out.toString());
    }

    @Test
    void aChangedActivationIsTheFirstDivergence() throws IOException {
        byte[] bytes = Files.readAllBytes(Path.of(DIT));
        int header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
        JsonNode entries = new ObjectMapper().readTree(new String(bytes, 8, header, StandardCharsets.UTF_8));
        int end = 8 + header + entries.path("act.single_transformer_blocks.3").path("data_offsets").path(1).asInt();
        // the sign and an exponent bit of the tensor's last number
        bytes[end - 1] ^= (byte) 0xC0;
        Path changed = folder.resolve("changed.safetensors");
        Files.write(changed, bytes);
        assertEquals(ExitCodes.FINDING, validate("-m", MODEL, "--case", changed.toString(), DIT), out.toString());
        assertTrue(out.toString().contains("first diverging: act.single_transformer_blocks.3:"), out.toString());
        assertTrue(out.toString().strip().endsWith("1 of 2 cases pass"), out.toString());
    }

    @Test
    void aTighterToleranceFindsTheFirstDivergingPoint() {
        assertEquals(ExitCodes.FINDING, validate("-m", MODEL, "--case", DIT, "--rtol", "1e-9"));
        assertTrue(out.toString().contains("first diverging: act.time_guidance_embed"), out.toString());
        assertEquals("0 of 1 case passes", out.toString().strip().lines().toList().getLast());
    }

    @Test
    void jsonHasEveryTensor() {
        assertEquals(ExitCodes.OK, validate("-m", MODEL, "--case", DIT, "--json", "--backend", "reference"));
        JsonNode json = new ObjectMapper().readTree(out.toString());
        assertEquals(1, json.path("passed").asInt());
        assertEquals(41, json.path("cases").path(0).path("checks").size());
        assertEquals("reference", json.path("backend").asString());
    }

    @Test
    void whatIsNoCaseIsAnErrorAndTheOthersStillRun() throws IOException {
        Path broken = folder.resolve("broken.safetensors");
        Files.write(broken, java.util.Arrays.copyOf(Files.readAllBytes(Path.of(DIT)), 5000));
        assertEquals(ExitCodes.BAD_INPUT, validate("-m", MODEL, "--case", broken.toString(), Reference.caseFile("seed-compat").toString(), DIT));
        assertTrue(out.toString().contains("broken.safetensors"), out.toString());
        assertTrue(out.toString().contains("kind \"inputs\""), out.toString());
        assertTrue(out.toString().strip().endsWith("1 of 3 cases pass; 2 could not be run"), out.toString());
    }

    @Test
    void aModelOfAnotherKindIsNamed() {
        assertEquals(ExitCodes.BAD_INPUT, validate("-m", MODEL + "/text_encoder", "--case", DIT));
        assertTrue(out.toString().contains("no transformer here"), out.toString());
    }
}
