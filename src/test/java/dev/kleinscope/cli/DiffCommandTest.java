package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class DiffCommandTest {

    private static final String[] SMALL = {"--size", "32x48", "--steps", "2", "--max-tokens", "32"};

    @TempDir
    private Path folder;

    private StringWriter out = new StringWriter();
    private StringWriter err = new StringWriter();

    private int run(String... args) {
        out = new StringWriter();
        err = new StringWriter();
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), args);
    }

    private int small(String command, String... more) {
        List<String> args = new ArrayList<>(List.of(command));
        args.addAll(List.of(SMALL));
        args.addAll(List.of(more));
        return run(args.toArray(String[]::new));
    }

    private String dump(String name, String... more) {
        String file = folder.resolve(name).toString();
        List<String> args = new ArrayList<>(List.of("-p", Reference.SAFE, "-o", file));
        args.addAll(List.of(more));
        assertEquals(ExitCodes.OK, small("dump", args.toArray(String[]::new)), err.toString());
        return file;
    }

    /** Flips bits of one byte of a tensor. */
    private String changed(String file, String tensor, int byteFromEnd, int bits) throws IOException {
        byte[] bytes = Files.readAllBytes(Path.of(file));
        int header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
        JsonNode entries = new ObjectMapper().readTree(new String(bytes, 8, header, StandardCharsets.UTF_8));
        int end = 8 + header + entries.path(tensor).path("data_offsets").path(1).asInt();
        bytes[end - byteFromEnd] ^= (byte) bits;
        Path copy = folder.resolve("changed.safetensors");
        Files.write(copy, bytes);
        return copy.toString();
    }

    @Test
    void aChangedActivationIsTheFirstDivergence() throws IOException {
        String a = dump("a.safetensors", "--points", "**", "--at-steps", "1");
        assertEquals(ExitCodes.OK, run("diff", a, a), out.toString());
        // the sign of the last number
        String b = changed(a, "step.1.single_transformer_blocks.3.attn", 1, 0x80);
        Path html = folder.resolve("diff.html");
        assertEquals(ExitCodes.FINDING, run("diff", a, b, "--json", "--rtol", "1e-6", "--html", html.toString()), err.toString());
        JsonNode json = new ObjectMapper().readTree(out.toString());
        assertEquals("step.1.single_transformer_blocks.3.attn", json.path("first").asString());
        assertEquals(1, json.path("beyond").asInt());
        JsonNode row = json.path("rows").valueStream().filter(each -> !each.path("within").asBoolean()).findFirst().orElseThrow();
        assertEquals("[0,37,63]", row.path("worst_index").toString());
        assertEquals(-row.path("worst_a").asDouble(), row.path("worst_b").asDouble());
        assertTrue(Files.readString(html).contains("single_transformer_blocks.3.attn"));
    }

    @Test
    void aDumpAgreesWithThePeersPipeline() {
        String file = folder.resolve("a.safetensors").toString();
        // the noise of the case, under the name that --latents takes
        assertEquals(ExitCodes.OK, run("dump", "-p", Reference.SAFE, "--max-tokens", "64", "--latents", noiseOfCase(), "--steps", "5",
                "--guidance", "4", "--distilled", "false", "--points", "latents", "-o", file), err.toString());
        assertEquals(ExitCodes.OK, run("diff", Reference.caseFile("pipeline-cfg").toString(), file), out.toString());
        assertTrue(out.toString().contains("All 8 activations in common agree"), out.toString());
        assertTrue(out.toString().contains("only in A: 1, the first out.image"), out.toString());
    }

    private String noiseOfCase() {
        Path file = folder.resolve("noise.safetensors");
        try (var from = dev.kleinscope.weights.Safetensors.open(Reference.caseFile("pipeline-cfg"));
                var to = dev.kleinscope.weights.SafetensorsWriter.create(file, List.of(new dev.kleinscope.weights.SafetensorsWriter.Declaration(
                        "latents", from.dtype("in.latents"), from.shape("in.latents"))), java.util.Map.of())) {
            to.write("latents", from.tensor("in.latents").toHost().values());
            to.commit();
        }
        return file.toString();
    }

    @Test
    void twoBackendsAgree() {
        assertEquals(ExitCodes.OK, small("diff", "-p", "x", "--backends", "cpu,reference"), out + "\n" + err);
        assertTrue(out.toString().contains("A on cpu"), out.toString());
        assertTrue(out.toString().contains("All 64 activations in common agree within a relative L2 distance of 1e-4"), out.toString());
    }

    @Test
    void twoPromptsPartAtTheirEmbeddings() {
        assertEquals(ExitCodes.FINDING, small("diff", "-p", "a red cube", "-p", "a blue cube", "--at-steps", "0", "--gemm", "java"), err.toString());
        assertTrue(out.toString().contains("in the order of computation, is in.prompt_embeds"), out.toString());
        assertTrue(out.toString().contains("prompt: a red cube | a blue cube"), out.toString());
        assertFalse(out.toString().contains("* in.latents"), out.toString());
    }

    @Test
    void bf16IsHeldToItsOwnThreshold() {
        String a = dump("a.safetensors", "--points", "proj_out");
        String b = dump("b.safetensors", "--points", "proj_out", "--dtype", "bf16");
        assertEquals(ExitCodes.OK, run("diff", a, b), out.toString());
        assertTrue(out.toString().contains("threshold, relative L2: 0.025"), out.toString());
        assertEquals(ExitCodes.FINDING, run("diff", a, b, "--rtol", "1e-4"), out.toString());
    }

    @Test
    void nothingInCommonIsInconclusive() {
        String a = dump("a.safetensors", "--points", "proj_out");
        assertEquals(ExitCodes.INCONCLUSIVE, run("diff", a, Reference.caseFile("text-encoder").toString()), out.toString());
        assertTrue(out.toString().contains("nothing was compared"), out.toString());
    }

    @Test
    void brokenFilesAreNamed() throws IOException {
        String a = dump("a.safetensors", "--points", "proj_out");
        byte[] whole = Files.readAllBytes(Path.of(a));
        for (int length : new int[] {0, 7, 100, whole.length - 1}) {
            Path cut = folder.resolve("cut.safetensors");
            Files.write(cut, Arrays.copyOf(whole, length));
            assertEquals(ExitCodes.BAD_INPUT, run("diff", a, cut.toString()), out.toString());
            assertTrue(err.toString().contains("cut.safetensors"), err.toString());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "pom.xml | two files",
        "pom.xml nowhere.safetensors | pom.xml",
        "-p x | diff needs two of something",
        "-p x -p y -p z | diff needs two of something",
        "-p x --backends cpu | diff needs two of something",
        "-p x -p y --backends cpu,reference | diff needs two of something",
        "-p x --backends cpu,auto | name two of",
        "-p x -p y pom.xml pom.xml | neither prompts nor backends",
        "-p x -p y --rtol -1 | --rtol -1.0: expected",
        "-p x -p y --points nothing | no probe point is called",
        "-p x --backends cpu,vulkan | vulkan"})
    void wrongInputIsNamed(String args, String message) {
        List<String> line = new ArrayList<>(List.of("diff"));
        line.addAll(List.of(args.split(" ")));
        assertEquals(ExitCodes.BAD_INPUT, run(line.toArray(String[]::new)), out + "\n" + err);
        assertTrue(err.toString().contains(message), err.toString());
        assertEquals("", out.toString());
    }
}
