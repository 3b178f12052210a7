package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class BenchCommandTest {

    private static final String SIZES = """
            {"transformer": {"attention_head_dim": 16, "axes_dims_rope": [4, 4, 4, 4], "guidance_embeds": false, "in_channels": 16,
                             "joint_attention_dim": 48, "num_attention_heads": 2, "num_layers": 1, "num_single_layers": 2},
             "text_encoder": {"hidden_size": 16, "num_hidden_layers": 28, "num_attention_heads": 2, "num_key_value_heads": 1,
                              "head_dim": 8, "intermediate_size": 32, "vocab_size": 577, "tie_word_embeddings": true,
                              "rope_theta": 1000000},
             "vae": {"block_out_channels": [8, 16, 16, 16], "in_channels": 3, "out_channels": 3, "latent_channels": 4,
                     "layers_per_block": 1, "norm_num_groups": 4}}
            """;

    @TempDir
    Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int bench(String... args) {
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true),
                Stream.concat(Stream.of("bench"), Stream.of(args)).toArray(String[]::new));
    }

    private String sizes() throws IOException {
        return Files.writeString(folder.resolve("sizes.json"), SIZES).toString();
    }

    @Test
    void everythingIsTimedOnRandomWeightsWithoutAFile() throws IOException {
        assertEquals(ExitCodes.OK, bench("--config", sizes(), "--backend", "reference", "--size", "32x32,48x32", "--max-tokens", "16",
                "--repeat", "3", "--warmup", "0", "--json"), err.toString());
        JsonNode json = JsonMapper.shared().readTree(out.toString());
        assertEquals("kleinscope.bench/2", json.get("schema").asString());
        assertEquals("random", json.get("weights").asString());
        assertEquals(3, json.get("repeat").asInt());
        List<String> timed = new ArrayList<>();
        for (JsonNode timing : json.get("timings")) {
            timed.add(timing.get("what").asString() + " " + timing.get("size").asString("-"));
            assertEquals(timing.get("runs").asInt(), timing.get("seconds").size(), timing.toString());
            double least = timing.get("least").asDouble();
            double most = timing.get("most").asDouble();
            assertTrue(least > 0 && least <= timing.get("median").asDouble() && timing.get("median").asDouble() <= most,
                    timing.toString());
            assertTrue(timing.get("what").asString().equals("load") || timing.get("runs").asInt() == 3, timing.toString());
        }
        assertEquals(List.of("load 32x32", "load -", "encode -", "forward 32x32", "probes 32x32", "norms 32x32", "capture 32x32", "attention 32x32",
                "decode 32x32", "image 32x32", "forward 48x32", "probes 48x32", "norms 48x32", "capture 48x32", "attention 48x32", "decode 48x32",
                "image 48x32"), timed);
        assertEquals(List.of("32x32", "48x32"), json.get("probes_to_plain").valueStream().map(ratio -> ratio.get("size").asString()).toList());
        assertEquals(3, json.get("probes_to_plain").get(0).get("turns").asInt());
    }

    @Test
    void leastAndMostAreThoseOfManyRuns() {
        List<Double> seconds = new Random(1).doubles(400, 15, 25).boxed().toList();
        BenchCommand.Timing timing = BenchCommand.Timing.of(BenchCommand.What.FORWARD, null, null, null, null, seconds);
        List<Double> sorted = seconds.stream().sorted().toList();
        assertEquals(sorted.getFirst(), timing.least());
        assertEquals(sorted.getLast(), timing.most());
        assertEquals((sorted.get(199) + sorted.get(200)) / 2, timing.median(), 1e-12);
        assertEquals(seconds, timing.seconds());
    }

    @Test
    void probesAreHeldAgainstTheForwardOfTheSameTurn() {
        TurnRatio ratio = TurnRatio.of("32x32", List.of(1.0, 10.0, 2.0, 4.0, 1.0), List.of(1.1, 10.0, 1.8, 4.0, 1.5));
        assertEquals(1.0, ratio.median());
        assertEquals(1.0, ratio.lower());
        assertEquals(1.1, ratio.upper(), 1e-12);
        assertEquals(5, ratio.turns());
        assertTrue(ratio.line().contains("1.0000 of a plain forward"), ratio.line());
    }

    @Test
    void aProfileTellsWhereAStepsTimeGoes() throws IOException {
        assertEquals(ExitCodes.OK, bench("--config", sizes(), "--backend", "cpu", "--gemm", "java", "--size", "32x32", "--max-tokens", "16",
                "--what", "profile", "--repeat", "2", "--threads", "1,2", "--json"), err.toString());
        JsonNode profiles = JsonMapper.shared().readTree(out.toString()).get("profiles");
        assertEquals(2, profiles.size());
        for (JsonNode profile : profiles) {
            double shares = 0;
            double linears = 0;
            double attentions = 0;
            Set<String> operations = new TreeSet<>();
            for (JsonNode entry : profile.get("entries")) {
                operations.add(entry.get("operation").asString());
                shares += entry.get("share").asDouble();
                assertTrue(entry.get("rate").asDouble() > 0 && entry.get("ceiling").asDouble() > 0, entry.toString());
                if (entry.get("operation").asString().equals("linear")) {
                    linears += 2e-9 * entry.get("calls").asLong() * entry.get("rows").asLong() * entry.get("in").asLong()
                            * entry.get("out").asLong() / entry.get("ceiling").asDouble();
                } else if (entry.get("operation").asString().equals("attention")) {
                    // queries times keys and their weights times values
                    attentions += 4e-9 * entry.get("calls").asLong() * entry.get("rows").asLong() * entry.get("in").asLong()
                            * entry.get("out").asLong() / entry.get("ceiling").asDouble();
                }
            }
            assertEquals(Set.of("attention", "gatedResidual", "layerNormModulate", "linear", "rmsNormRope", "silu", "swiglu"), operations);
            assertTrue(shares > 0.1 && shares <= 1, "shares add up to " + shares);
            assertEquals(linears, profile.get("linears").asDouble(), 1e-6 * linears);
            assertEquals(attentions, profile.get("attentions").asDouble(), 1e-6 * attentions);
            assertEquals(profile.get("seconds").asDouble() / (linears + attentions), profile.get("ratio").asDouble(),
                    1e-3 * profile.get("ratio").asDouble());
            assertTrue(profile.get("norms").asDouble() > 0, profile.toString());
        }
    }

    @Test
    void aProfileIsForTheCpuBackend() throws IOException {
        assertEquals(ExitCodes.BAD_INPUT, bench("--config", sizes(), "--backend", "reference", "--what", "profile"));
        assertTrue(err.toString().contains("--what profile needs --backend cpu, but reference is in use"), err.toString());
    }

    @Test
    void aModelWithoutATextEncoderIsTimedAsFarAsItGoes() throws IOException {
        Path transformer = folder.resolve("transformer");
        assertEquals(ExitCodes.OK, Main.run(new PrintWriter(out, true), new PrintWriter(err, true), "synth", "--config", sizes(),
                "--component", "transformer", "--out", transformer.toString()), err.toString());
        try (Stream<Path> files = Files.list(transformer)) {
            assertEquals(List.of("model_index.json", "transformer"), files.map(file -> file.getFileName().toString()).sorted().toList());
        }
        assertEquals(ExitCodes.OK, bench("-m", transformer.toString(), "--backend", "reference", "--size", "32x32", "--max-tokens", "16",
                "--repeat", "1", "--warmup", "0"), err.toString());
        assertTrue(out.toString().contains("forward, all blocks to the host 32x32"), out.toString());
        assertTrue(!out.toString().contains("encode") && !out.toString().contains("decode"), out.toString());
    }

    @Test
    void aComponentThatTheSizesLackIsRefused() throws IOException {
        assertEquals(ExitCodes.BAD_INPUT, Main.run(new PrintWriter(out, true), new PrintWriter(err, true), "synth", "--config", sizes(),
                "--component", "clip", "--out", folder.resolve("model").toString()));
        assertTrue(err.toString().contains("--component clip") && err.toString().contains("transformer, text_encoder, vae"), err.toString());
    }

    @Test
    void weightsTooLargeForMemoryNameTheCommandThatWritesThem() {
        assertEquals(ExitCodes.BAD_INPUT, bench("--config", "klein-4b", "--backend", "cpu", "--what", "forward"));
        assertTrue(err.toString().contains("klein-4b's random transformer") && err.toString().contains("kleinscope synth"), err.toString());
    }

    @Test
    void aModelAndSizesTogetherAreRefused() {
        assertEquals(ExitCodes.BAD_INPUT, bench("--config", "klein-4b", "-m", "model"));
        assertTrue(err.toString().contains("not both"), err.toString());
    }
}
