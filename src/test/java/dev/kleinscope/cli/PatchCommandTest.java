package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.SafetensorsWriter;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class PatchCommandTest {

    private static final String POINTS = "transformer_blocks.3,single_transformer_blocks.19,proj_out";

    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... args) {
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), args);
    }

    private int patch(String... more) {
        List<String> args = new ArrayList<>(List.of("patch", "--to", "a blue square", "--size", "48x32", "--steps", "2", "--max-tokens", "32",
                "--backend", "cpu", "--gemm", "java", "--out", folder.resolve("out").toString()));
        args.addAll(List.of(more));
        return run(args.toArray(String[]::new));
    }

    private List<String> csv() throws IOException {
        return Files.readAllLines(folder.resolve("out/patch.csv"));
    }

    private static double value(List<String> csv, String start, String metric) {
        return csv.stream().filter(row -> row.startsWith(start) && row.contains("," + metric + ","))
                .mapToDouble(row -> Double.parseDouble(row.substring(row.lastIndexOf(',') + 1))).findFirst().orElseThrow();
    }

    @Test
    void whatMakesTheWholeOutputHasTheWholeEffectAndWhatMakesNoneHasNone() throws IOException {
        assertEquals(ExitCodes.OK, patch("--from", "a red circle", "--points", POINTS, "--metric", "distance,clip,image", "--null",
                "a square that is blue"), err.toString());
        try (Stream<Path> files = Files.list(folder.resolve("out"))) {
            assertEquals(List.of("patch.csv", "report.html", "run.json"), files.map(file -> file.getFileName().toString()).sorted().toList());
        }
        List<String> csv = csv();
        assertEquals("point,stream,step,seed,source,metric,value", csv.getFirst());
        assertEquals(1 + 2 * 5 * 7, csv.size());
        for (String metric : List.of("distance", "projection", "cosine", "image", "clip", "moved")) {
            assertEquals(1, value(csv, "proj_out,image,,1,from", metric), 1e-12, metric);
            assertEquals(1, value(csv, "single_transformer_blocks.19,image,,1,from", metric), 1e-12, metric);
            assertEquals(0, value(csv, "single_transformer_blocks.19,text,,1,from", metric), 1e-12, metric);
        }
        double along = value(csv, "transformer_blocks.3.txt,text,,1,from", "distance");
        assertTrue(along > 0.5 && along < 1, "text before the last double block: " + along);
        assertTrue(Math.abs(value(csv, "transformer_blocks.3.img,image,,1,from", "distance")) < 0.2);
        JsonNode json = new ObjectMapper().readTree(folder.resolve("out/run.json").toFile());
        assertEquals(15, json.path("effects").size());
        assertEquals("a square that is blue", json.path("prompts").path("null").stringValue());
        assertTrue(out.toString().contains("single_transformer_blocks.19"), out.toString());
    }

    @Test
    void anInterruptedCommandGoesOnWhereItStopped() throws IOException {
        String[] options = {"--from", "a red circle", "--points", "transformer_blocks.3", "--per-step"};
        assertEquals(ExitCodes.OK, patch(options), err.toString());
        List<String> whole = csv();
        assertEquals(1 + 4 * 5, whole.size());
        // a journal as an interruption leaves it, with a value that only it can tell
        JsonNode parameters = new ObjectMapper().readTree(folder.resolve("out/run.json").toFile()).path("parameters");
        ((tools.jackson.databind.node.ObjectNode) parameters).remove("created");
        Files.writeString(folder.resolve("out/patch.journal"), Journal.JSON.writeValueAsString(parameters) + "\n"
                + "{\"point\":\"transformer_blocks.3.img\",\"stream\":\"image\",\"step\":1,\"seed\":1,\"source\":\"from\",\"values\":"
                + "{\"distance\":\"123.5\"}}\n{\"point\":\"transf");
        assertEquals(ExitCodes.OK, patch(options), err.toString());
        assertTrue(err.toString().contains("1 runs of the interrupted command are kept"), err.toString());
        assertEquals(123.5, value(csv(), "transformer_blocks.3.img,image,1,1,from", "distance"));
        String kept = "transformer_blocks.3.txt,text,";
        assertEquals(whole.stream().filter(row -> row.startsWith(kept)).toList(), csv().stream().filter(row -> row.startsWith(kept)).toList());
        assertFalse(Files.exists(folder.resolve("out/patch.journal")));
    }

    @Test
    void aDumpTakesThePlaceOfARun() throws IOException {
        assertEquals(ExitCodes.OK, patch("--from", "a red circle", "--points", POINTS), err.toString());
        List<String> expected = csv();
        Path dump = folder.resolve("dump.safetensors");
        dump("a red circle", dump);
        assertEquals(ExitCodes.OK, patch("--from-dump", dump.toString(), "--points", POINTS), err.toString());
        assertEquals(expected, csv());
        assertEquals(ExitCodes.BAD_INPUT, patch("--from-dump", dump.toString(), "--points", POINTS, "--seeds", "2"));
        assertTrue(err.toString().contains("is of a run with seed 1, this one has 2"), err.toString());
        assertEquals(ExitCodes.BAD_INPUT, patch("--from-dump", dump.toString(), "--points", "x_embedder"));
        assertTrue(err.toString().contains("holds no step.0.x_embedder"), err.toString());
    }

    private static void dump(String prompt, Path file) {
        Map<String, HostTensor> seen = new LinkedHashMap<>();
        try (Ops ops = new CpuOps(); Klein klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops)) {
            HostTensor noise = new HostTensor("noise", klein.latentShape(48, 32),
                    new TorchNoise(TorchNoise.Kind.TORCH_CPU, 1, 132).next(TorchNoise.Type.F32, klein.latentShape(48, 32).dims()));
            klein.denoise(new Denoising(2, 4, true), noise, klein.encode(klein.tokenizer().prompt(prompt, 32)), null, List.of(),
                    new Observer() {
                        @Override
                        public boolean wants(String point) {
                            return point.startsWith("transformer_blocks.3.") || point.equals("single_transformer_blocks.19")
                                    || point.equals("proj_out");
                        }

                        @Override
                        public void saw(int step, Pass pass, String point, Tensor tensor) {
                            seen.put("step." + step + "." + point, tensor.toHost());
                        }
                    }, null);
        }
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, seen.entrySet().stream()
                .map(each -> new SafetensorsWriter.Declaration(each.getKey(), DType.F32, each.getValue().shape())).toList(),
                Map.of("seed", "1", "steps", "2"))) {
            seen.forEach((name, values) -> writer.write(name, values.values()));
            writer.commit();
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "--points x_embedder | give --from or --from-dump", "--from a --from-dump b | give --from or --from-dump",
        "--from a --metric nearness | no metric is called", "--from a --streams images | no stream is called",
        "--from a --points transformer_blocks.9.img | no probe point is called", "--from-dump b --metric clip | give --from"})
    void whatCannotBeDoneIsRefused(String options, String reason) {
        assertEquals(ExitCodes.BAD_INPUT, patch(options.split(" ")));
        assertTrue(err.toString().contains(reason), err.toString());
    }

    @Test
    void twoRunsThatDoNotDifferHaveNoEffect() {
        assertEquals(ExitCodes.BAD_INPUT, patch("--from", "a blue square", "--points", "proj_out"));
        assertTrue(err.toString().contains("end in the same latents"), err.toString());
    }
}
