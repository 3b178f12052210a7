package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.SafetensorsWriter;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class InspectCommandTest {

    private static final String TINY = "weights/tiny-klein";
    private static final String KEY = "double_stream_modulation_img.linear.weight";

    @TempDir
    Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int inspect(String... args) {
        String[] all = new String[args.length + 1];
        all[0] = "inspect";
        System.arraycopy(args, 0, all, 1, args.length);
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), all);
    }

    private JsonNode json(String... args) {
        assertEquals(ExitCodes.OK, inspect(args), err.toString());
        return JsonMapper.shared().readTree(out.toString());
    }

    /** A copy of the VAE's folder whose weights are these. */
    private Path vae(Map<String, float[]> tensors) throws IOException {
        Files.copy(Path.of(TINY, "vae/config.json"), folder.resolve("config.json"));
        List<Declaration> declarations = tensors.entrySet().stream()
                .map(entry -> new Declaration(entry.getKey(), DType.F32, Shape.of(entry.getValue().length))).toList();
        try (SafetensorsWriter writer = SafetensorsWriter.create(folder.resolve("diffusion_pytorch_model.safetensors"), declarations,
                Map.of())) {
            declarations.forEach(declaration -> writer.write(declaration.name(), tensors.get(declaration.name())));
            writer.commit();
        }
        return folder;
    }

    @Test
    void theSummaryCountsAndSaysHowToSeeTheRest() {
        assertEquals(ExitCodes.OK, inspect(TINY), err.toString());
        String text = out.toString();
        assertTrue(text.contains("distilled, 4 steps without guidance"), text);
        assertTrue(text.contains("transformer: 1,703,808 parameters in 169 tensors, 3.4 MB (3407616 bytes); BF16\n"), text);
        assertTrue(text.contains("I64 1 in 1, 8 bytes; BF16 437,879 in 246, 875758 bytes"), text);
        assertTrue(text.contains("double_blocks 5, single_blocks 20"), text);
        assertTrue(text.contains("tokenizer_class \"Qwen2Tokenizer\""), text);
        assertTrue(text.contains("... and 165 more tensors: --tensors lists all"), text);
        assertTrue(text.contains("more probe points: --points lists all"), text);
        assertTrue(text.lines().count() < 80, "a summary of " + text.lines().count() + " lines");
    }

    @Test
    void theBundledModelIsTheDefault() {
        assertEquals("transformer", json("--json").get("components").get(0).get("component").asString());
    }

    @Test
    void jsonHasEveryTensorAndPoint() {
        JsonNode json = json(TINY, "--json");
        assertEquals("kleinscope.inspect/1", json.get("schema").asString());
        JsonNode transformer = json.get("components").get(0);
        assertEquals(169, transformer.get("tensors").size());
        assertEquals(290, transformer.get("points").size());
        assertEquals(64, transformer.get("sizes").get("hidden").asInt());
        assertEquals(16, transformer.get("config").get("in_channels").asInt());
        JsonNode text = json.get("components").get(1);
        assertEquals(29, text.get("points").size());
        assertEquals(2 * text.get("parameters").asLong(), text.get("dtypes").get("BF16").get("bytes").asLong());
        assertTrue(transformer.get("tensors").get(0).get("stats").isNull(), "statistics that nobody asked for");
    }

    @Test
    void pointsComeWithTheirOtherNames() {
        assertEquals(ExitCodes.OK, inspect(TINY + "/transformer", "--points"), err.toString());
        assertTrue(out.toString().matches("(?s).*  transformer_blocks\\.4\\.txt +block +\\[B, txt, 64\\] +"
                + "DoubleStream_Layer_4, double_blocks\\.4\\.txt\\R.*"), out.toString());
        assertFalse(out.toString().contains("BF16  ["), "tensors that nobody asked for");
    }

    @Test
    void aSingleFileOfOtherNamesIsReadByDiffusersNames() {
        JsonNode transformer = json("src/test/resources/reference/tiny-klein-bfl.safetensors", "--json").get("components").get(0);
        assertEquals(5, transformer.get("sizes").get("double_blocks").asInt());
        assertEquals(1_703_808, transformer.get("parameters").asLong());
        assertTrue(transformer.get("config").isNull(), "config");
    }

    @Test
    void statisticsAreExact() throws IOException {
        float[] values = {1, 2, 3, 4, Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN, Float.NaN, -10};
        Path model = vae(Map.of("decoder.conv_in.weight", values));
        JsonNode stats = json(model.toString(), "--stats", "--json").get("components").get(0).get("tensors").get(0).get("stats");
        assertEquals(0, stats.get("mean").asDouble());
        assertEquals(Math.sqrt(130 / 5.0), stats.get("std").asDouble());
        assertEquals(-10, stats.get("min").asDouble());
        assertEquals(4, stats.get("max").asDouble());
        assertEquals(Math.sqrt(130), stats.get("norm").asDouble());
        assertEquals(3, stats.get("nan").asLong());
        assertEquals(2, stats.get("infinite").asLong());
        out.getBuffer().setLength(0);
        assertEquals(ExitCodes.OK, inspect(model.toString(), "--stats"));
        assertTrue(out.toString().matches("(?s).*decoder\\.conv_in\\.weight +F32 +\\[10\\] +40 +"
                + "0\\.0+ +5\\.0990 +-10\\.000 +4\\.0000 +11\\.402 +3 +2\\R"),
                out.toString());
    }

    @Test
    void statisticsOfManyBlocksWithALargeMeanKeepTheirDigits() {
        int n = 9_000_001;
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = i % 2 == 0 ? 1_000_001 : 999_999;
        }
        Tensor tensor = Tensor.of("x", DType.F32, Shape.of(n), new HostStorage(MemorySegment.ofArray(values)));
        AtomicLong steps = new AtomicLong();
        TensorStats stats = TensorStats.of(tensor, steps::incrementAndGet);
        assertEquals(1e6, stats.mean(), 1e-6);
        assertEquals(1, stats.std(), 1e-9);
        assertEquals(TensorStats.steps(tensor), steps.get());
        assertEquals(2, steps.get());
    }

    private static TensorStats stats(DType dtype, MemorySegment values, long... dims) {
        return TensorStats.of(Tensor.of("x", dtype, new Shape(dims), new HostStorage(values)), () -> { });
    }

    @Test
    void sixtyFourBitNumbersAreNotRoundedToF32() {
        double[] doubles = {1e300, -1e300};
        TensorStats stats = stats(DType.F64, MemorySegment.ofArray(doubles), 2);
        assertEquals(1e300, stats.max());
        assertEquals(0, stats.infinite());
        long[] longs = {(1L << 40) + 1};
        stats = stats(DType.I64, MemorySegment.ofArray(longs));
        assertEquals((1L << 40) + 1, stats.mean());
    }

    @Test
    void nothingFiniteHasNoMean() {
        float[] values = {Float.NaN};
        TensorStats stats = stats(DType.F32, MemorySegment.ofArray(values), 1);
        assertNull(stats.mean());
        assertNull(stats.min());
        assertEquals(1, stats.nan());
    }

    @Test
    void aSliceIsReadByItsRows() {
        float[] values = {1, 2, 100, 3, 4, 100};
        Tensor whole = Tensor.of("x", DType.F32, Shape.of(2, 3), new HostStorage(MemorySegment.ofArray(values)));
        assertEquals(2.5, TensorStats.of(whole.slice(1, 0, 2), () -> { }).mean());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "--json", "--stats"})
    void controlCharactersInNamesDoNotReachTheTerminal(String option) throws IOException {
        Path model = vae(Map.of("a\u001b[31m\u009b2J\u007f\u202egnp\r\n", new float[] {1}));
        assertEquals(ExitCodes.OK, option.isEmpty() ? inspect(model.toString()) : inspect(model.toString(), option), err.toString());
        out.toString().chars().filter(c -> c != '\n').forEach(c ->
                assertTrue(c >= ' ' && c < 0x7f, () -> "U+" + Integer.toHexString(c) + " in " + out));
        assertTrue(out.toString().contains("[31m"), out.toString());
    }

    @Test
    void damagedWeightsAreBadInput() throws IOException {
        Files.copy(Path.of(TINY, "vae/config.json"), folder.resolve("config.json"));
        byte[] bytes = Files.readAllBytes(Path.of(TINY, "vae/diffusion_pytorch_model.safetensors"));
        Files.write(folder.resolve("diffusion_pytorch_model.safetensors"), Arrays.copyOf(bytes, bytes.length / 2));
        assertEquals(ExitCodes.BAD_INPUT, inspect(folder.toString()));
        assertTrue(err.toString().contains("diffusion_pytorch_model.safetensors"), err.toString());
        assertEquals("", out.toString());
    }

    @Test
    void whatIsNoModelIsBadInput() {
        assertEquals(ExitCodes.BAD_INPUT, inspect(folder.toString()));
        assertTrue(err.toString().contains("is not a model folder"), err.toString());
        assertEquals(ExitCodes.BAD_INPUT, inspect(folder.resolve("none").toString()));
        assertEquals(ExitCodes.BAD_INPUT, inspect("weights/README.md"));
    }

    @Test
    void aTransformerWithoutItsShapesIsBadInput() throws IOException {
        Path file = folder.resolve("x.safetensors");
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(new Declaration(KEY, DType.F32, Shape.of(1))), Map.of())) {
            writer.write(KEY, new float[] {1});
            writer.commit();
        }
        assertEquals(ExitCodes.BAD_INPUT, inspect(file.toString()));
        assertTrue(err.toString().contains("no tensor x_embedder.weight"), err.toString());
    }
}
