package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.weights.Safetensors;
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
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class DumpCommandTest {

    private static final String[] SMALL = {"--size", "32x48", "--steps", "3", "--max-tokens", "32"};

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int dump(String... more) {
        List<String> args = new ArrayList<>(List.of("dump"));
        args.addAll(List.of(SMALL));
        args.addAll(List.of(more));
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), args.toArray(String[]::new));
    }

    private String file(String name) {
        return folder.resolve(name).toString();
    }

    /** The header, read by the format's own rules, every one of which is checked. */
    private static JsonNode header(Path file) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        long length = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
        assertEquals('{', bytes[8]);
        assertEquals(0, (8 + length) % 8, "tensors are aligned");
        JsonNode header = new ObjectMapper().readTree(new String(bytes, 8, (int) length, StandardCharsets.UTF_8));
        long position = 0;
        for (Map.Entry<String, JsonNode> entry : header.properties()) {
            if (entry.getKey().equals("__metadata__")) {
                entry.getValue().forEach(value -> assertTrue(value.isString(), entry.toString()));
                continue;
            }
            long elements = 1;
            for (JsonNode dim : entry.getValue().required("shape")) {
                elements *= dim.longValue();
            }
            int size = Map.of("F32", 4, "BF16", 2).get(entry.getValue().required("dtype").stringValue());
            assertEquals(position, entry.getValue().required("data_offsets").get(0).longValue(), entry.getKey());
            position += elements * size;
            assertEquals(position, entry.getValue().required("data_offsets").get(1).longValue(), entry.getKey());
        }
        assertEquals(bytes.length, 8 + length + position);
        return header;
    }

    @Test
    void anyReaderOfTheFormatFindsTheActivationsAndHowTheyWereMade() throws IOException {
        assertEquals(ExitCodes.OK, dump("-p", Reference.SAFE, "--seed", "5", "--points", "double_blocks.4,proj_out", "--at-steps", "0,2",
                "--distilled", "false", "--guidance", "3", "-o", file("a.safetensors")), err.toString());
        JsonNode header = header(folder.resolve("a.safetensors"));
        List<String> names = header.propertyNames().stream().filter(name -> name.startsWith("step.")).toList();
        assertEquals(List.of("step.0.transformer_blocks.4.txt", "step.0.transformer_blocks.4.img", "step.0.proj_out",
                "step.0.uncond.transformer_blocks.4.txt", "step.0.uncond.transformer_blocks.4.img", "step.0.uncond.proj_out",
                "step.2.transformer_blocks.4.txt", "step.2.transformer_blocks.4.img", "step.2.proj_out",
                "step.2.uncond.transformer_blocks.4.txt", "step.2.uncond.transformer_blocks.4.img", "step.2.uncond.proj_out"), names);
        JsonNode made = header.required("__metadata__");
        Map<String, String> expected = Map.ofEntries(Map.entry("schema", "kleinscope.dump/1"), Map.entry("prompt", Reference.SAFE),
                Map.entry("negative_prompt", ""), Map.entry("seed", "5"), Map.entry("size", "32x48"), Map.entry("steps", "3"),
                Map.entry("guidance", "3.0"), Map.entry("distilled", "false"), Map.entry("max_tokens", "32"), Map.entry("noise", "torch-cpu"),
                Map.entry("noise_type", "f32"), Map.entry("backend_name", "cpu"), Map.entry("precision", "f32"),
                Map.entry("at_steps", "[0,2]"), Map.entry("points", "[\"double_blocks.4\",\"proj_out\"]"), Map.entry("dtype", "own"));
        expected.forEach((key, value) -> assertEquals(value, made.path(key).asString(""), key));
        assertTrue(made.has("gemm") && made.has("kleinscope") && made.has("backend"), made.toString());
        JsonNode weights = new ObjectMapper().readTree(made.required("weights").stringValue());
        assertEquals(64, weights.path("transformer").path("fingerprint").asString().length());
        assertEquals(64, weights.path("text_encoder").path("fingerprint").asString().length());
        assertTrue(out.toString().contains("15 tensors"), out.toString());
    }

    @Test
    void theDefaultIsEveryBlocksOutputAndTheLatents() throws IOException {
        assertEquals(ExitCodes.OK, dump("-p", "x", "--at-steps", "1-2", "-o", file("a.safetensors"), "--json"), err.toString());
        // two inputs; two streams of five blocks, twenty blocks, latents, at two steps
        assertEquals(2 + 2 * 31, new ObjectMapper().readTree(out.toString()).path("tensors").asInt());
        assertTrue(header(folder.resolve("a.safetensors")).has("step.2.latents"));
    }

    @Test
    void aDryRunTellsTheFilesSizeAndWritesNothing() throws IOException {
        assertEquals(ExitCodes.OK, dump("-p", "x", "--points", "**", "--dry-run", "--json"), err.toString());
        long bytes = new ObjectMapper().readTree(out.toString()).path("bytes").asLong();
        assertEquals(ExitCodes.OK, dump("-p", "x", "--points", "**", "-o", file("a.safetensors")), err.toString());
        JsonNode header = header(folder.resolve("a.safetensors"));
        long end = 0;
        for (JsonNode tensor : header) {
            end = Math.max(end, tensor.path("data_offsets").path(1).asLong());
        }
        assertEquals(bytes, end);
        assertTrue(dump("-p", "x", "--points", "proj_out", "--dry-run") == ExitCodes.OK && out.toString().contains("step.0.proj_out F32[1, 6, 16]"),
                out.toString());
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(1, left.count());
        }
    }

    @Test
    void theSameCommandWritesTheSameFile() throws IOException {
        assertEquals(ExitCodes.OK, dump("-p", "x", "--points", "**", "--at-steps", "0", "-o", file("a.safetensors")), err.toString());
        assertEquals(ExitCodes.OK, dump("-p", "x", "--points", "**", "--at-steps", "0", "-o", file("b.safetensors")), err.toString());
        assertEquals(-1, Files.mismatch(folder.resolve("a.safetensors"), folder.resolve("b.safetensors")));
    }

    @Test
    void aChangedRunIsKeptAsItWasChangedAndSaysHow() throws IOException {
        String[] kept = {"-p", "x", "--points", "transformer_blocks.*.img,proj_out", "--at-steps", "0-1"};
        String change = "transformer_blocks.2.img:scale=-2,steps=1,channels=0-3";
        assertEquals(ExitCodes.OK, dump(with(kept, "-o", file("plain.safetensors"))), err.toString());
        assertEquals(ExitCodes.OK, dump(with(kept, "-o", file("changed.safetensors"), "--intervene", change)), err.toString());
        assertFalse(header(folder.resolve("plain.safetensors")).required("__metadata__").has("interventions"));
        assertEquals(new ObjectMapper().writeValueAsString(List.of(change)),
                header(folder.resolve("changed.safetensors")).required("__metadata__").required("interventions").stringValue());
        try (Safetensors plain = Safetensors.open(folder.resolve("plain.safetensors"));
                Safetensors changed = Safetensors.open(folder.resolve("changed.safetensors"))) {
            for (String same : List.of("step.0.transformer_blocks.2.img", "step.0.proj_out", "step.1.transformer_blocks.1.img")) {
                assertArrayEquals(plain.tensor(same).toHost().values(), changed.tensor(same).toHost().values(), same);
            }
            float[] before = plain.tensor("step.1.transformer_blocks.2.img").toHost().values();
            float[] after = changed.tensor("step.1.transformer_blocks.2.img").toHost().values();
            int channels = (int) plain.tensor("step.1.transformer_blocks.2.img").dim(2);
            for (int i = 0; i < before.length; i++) {
                assertEquals(i % channels < 4 ? -2 * before[i] : before[i], after[i], "value " + i);
            }
            assertFalse(Arrays.equals(plain.tensor("step.1.proj_out").toHost().values(), changed.tensor("step.1.proj_out").toHost().values()));
        }
    }

    @Test
    void everythingFromAnotherRunMakesThatRun() throws IOException {
        String[] kept = {"--points", "**", "--at-steps", "0"};
        assertEquals(ExitCodes.OK, dump(with(kept, "-p", "a red cube", "-o", file("a.safetensors"))), err.toString());
        assertEquals(ExitCodes.OK, dump(with(kept, "-p", "a blue cube", "-o", file("b.safetensors"))), err.toString());
        assertEquals(ExitCodes.OK, dump(with(kept, "-p", "a red cube", "-o", file("patched.safetensors"), "--intervene",
                "transformer_blocks.4.*:replace=" + file("b.safetensors") + ",steps=0")), err.toString());
        JsonNode made = header(folder.resolve("patched.safetensors")).required("__metadata__");
        assertEquals(64, new ObjectMapper().readTree(made.required("intervention_files").stringValue()).path(file("b.safetensors")).asString()
                .length());
        try (Safetensors a = Safetensors.open(folder.resolve("a.safetensors")); Safetensors b = Safetensors.open(folder.resolve("b.safetensors"));
                Safetensors patched = Safetensors.open(folder.resolve("patched.safetensors"))) {
            String early = "step.0.transformer_blocks.3.txt";
            assertArrayEquals(a.tensor(early).toHost().values(), patched.tensor(early).toHost().values());
            for (String late : List.of("step.0.transformer_blocks.4.img", "step.0.single_transformer_blocks.7", "step.0.proj_out")) {
                assertArrayEquals(b.tensor(late).toHost().values(), patched.tensor(late).toHost().values(), late);
            }
        }
    }

    private static String[] with(String[] args, String... more) {
        return Stream.concat(Arrays.stream(args), Arrays.stream(more)).toArray(String[]::new);
    }

    @Test
    void anInterruptedDumpLeavesTheFormerFile() throws IOException {
        Files.writeString(folder.resolve("a.safetensors"), "former");
        Thread.currentThread().interrupt();
        int status = dump("-p", "x", "-o", file("a.safetensors"));
        Thread.interrupted();
        assertEquals(ExitCodes.INTERRUPTED, status, err.toString());
        assertEquals("former", Files.readString(folder.resolve("a.safetensors")));
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(1, left.count());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "-p x --points nothing.here | no probe point is called",
        "-p x --at-steps 3 | the run has the steps 0 to 2",
        "-p x --at-steps 2-1 | is not a list of steps",
        "-p x --at-steps all | is not a list of steps",
        "-p x --dtype f16 | --dtype",
        "-p _ | the prompt is empty",
        "--points proj_out | --prompt",
        "-p x -i nowhere.png | nowhere.png",
        "-p x --intervene proj_out:halve | expected a change after the colon",
        "-p x --intervene proj_out:zero,steps=3 | the run has steps 0 to 2",
        "-p x --intervene proj_out:replace=nowhere.safetensors | nowhere.safetensors does not exist",
        "-p x --model /nonexistent | /nonexistent"})
    void wrongInputIsNamedAndLeavesNothing(String args, String message) throws IOException {
        List<String> line = new ArrayList<>(Stream.of(args.split(" ")).map(arg -> arg.equals("_") ? " " : arg).toList());
        line.addAll(List.of("-o", file("a.safetensors")));
        assertEquals(ExitCodes.BAD_INPUT, dump(line.toArray(String[]::new)), err.toString());
        assertTrue(err.toString().contains(message), err.toString());
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(0, left.count());
        }
    }

    @Test
    void aPlaceThatCannotBeWrittenToIsNamedBeforeTheRun() {
        assertEquals(ExitCodes.BAD_INPUT, dump("-p", "x", "-o", file("none/a.safetensors")));
        assertTrue(err.toString().contains("there is no folder"), err.toString());
        assertEquals(ExitCodes.BAD_INPUT, dump("-p", "x", "-o", folder.toString()));
        assertTrue(err.toString().contains("is a folder"), err.toString());
        assertEquals(ExitCodes.BAD_INPUT, dump("-p", "x"));
        assertTrue(err.toString().contains("--out is missing"), err.toString());
    }
}
