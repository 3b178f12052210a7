package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelFiles;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PairedProtocolTest {

    private static final PairedProtocol.Store NOTHING_KEPT = new PairedProtocol.Store() {
        @Override
        public List<NormRow> finished(String prompt, long seed) {
            return null;
        }

        @Override
        public void keep(String prompt, long seed, List<NormRow> rows) {
        }
    };

    private Ops ops;
    private Klein klein;

    @BeforeEach
    void open() {
        ops = Reference.Backend.CPU.open();
        klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops);
    }

    @AfterEach
    void close() {
        klein.close();
        ops.close();
    }

    @Test
    void streamEnergiesAddUpToTheWhole() {
        PairedNorms norms = run(new Denoising(2, 4, false), 1);
        Map<List<Object>, Map<String, Double>> cells = new HashMap<>();
        norms.rows().stream().filter(row -> row.measure().equals("N")).forEach(row -> cells
                .computeIfAbsent(List.of(row.prompt(), row.seed(), row.step(), row.pass(), row.point()), key -> new HashMap<>())
                .put(row.stream(), row.value()));
        int checked = 0;
        for (var cell : cells.entrySet()) {
            Double all = cell.getValue().remove("all");
            if (all != null) {
                double sum = cell.getValue().values().stream().mapToDouble(norm -> norm * norm).sum();
                assertEquals(all * all, sum, 1e-5 * all * all, cell.getKey().toString());
                checked++;
            }
        }
        // 5 text block outputs, 5 text branches twice over, 20 single outputs, 20 single branches: prompts x steps x passes
        assertEquals((5 * 3 + 20 * 2) * 2 * 2 * 2, checked);
    }

    @Test
    void everyMeasureStandsAtEveryBlockStepAndStream() {
        PairedNorms norms = run(new Denoising(2, 1, true), 2);
        for (String block : norms.blocks()) {
            List<String> streams = block.endsWith(".img") ? List.of("image")
                    : block.endsWith(".txt") ? List.of("prompt", "template", "padding") : List.of("image", "prompt", "template", "padding");
            for (String stream : streams) {
                for (Measure measure : Measure.values()) {
                    long rows = norms.rows().stream().filter(row -> row.point().equals(block) && row.stream().equals(stream)
                            && row.measure().equals(measure.symbol())).count();
                    assertEquals(2 * 2 * 2, rows, block + " " + stream + " " + measure);
                }
            }
        }
        assertEquals(30, norms.blocks().size());
        assertTrue(norms.contrasts().stream().allMatch(contrast -> contrast.seeds() == 2 && Double.isFinite(contrast.d())));
    }

    @Test
    void aPromptAgainstItselfDiffersInNothing() {
        PairedNorms norms = PairedProtocol.run(new NormsRun(klein, Reference.SAFE, Reference.SAFE, new Denoising(1, 1, true), 64),
                noises(1), new LinkedHashSet<>(klein.points().points()), NOTHING_KEPT, Map.of(), done -> { });
        assertTrue(norms.contrasts().stream().allMatch(contrast -> contrast.d() == 0 || Double.isNaN(contrast.d())));
        assertTrue(norms.contrasts().size() > 500, "contrasts: " + norms.contrasts().size());
    }

    @Test
    void theUpdateIsMeasuredAgainstTheBlockBefore() {
        Map<String, HostTensor> seen = new HashMap<>();
        HostTensor noise = noises(1).get(1L);
        var prompt = klein.tokenizer().prompt(Reference.SAFE, 64);
        Denoising denoising = new Denoising(1, 1, true);
        denoising.run(ops, klein.dit(), noise, klein.encode(prompt), null, List.of(), recorder(seen, klein), null);
        PairedNorms norms = run(denoising, 1);
        int channels = (int) klein.dit().config().hidden();
        for (int block = 1; block < 20; block++) {
            float[] before = seen.get("single_transformer_blocks." + (block - 1)).values();
            float[] after = seen.get("single_transformer_blocks." + block).values();
            double difference = 0;
            double energy = 0;
            for (int i = 64 * channels; i < after.length; i++) {
                difference += Math.pow((double) after[i] - before[i], 2);
                energy += Math.pow(before[i], 2);
            }
            double expected = Math.sqrt(difference / energy);
            String point = "single_transformer_blocks." + block;
            double found = norms.rows().stream().filter(row -> row.prompt().equals("safe") && row.point().equals(point)
                    && row.stream().equals("image") && row.measure().equals("u")).findFirst().orElseThrow().value();
            assertEquals(expected, found, 1e-9 * expected, point);
        }
    }

    @Test
    void watchingChangesNoBitOfTheResult() {
        var prompt = klein.tokenizer().prompt(Reference.SAFE, 64);
        HostTensor embeds = klein.encode(prompt);
        HostTensor noise = noises(1).get(1L);
        Denoising denoising = new Denoising(2, 1, true);
        HostTensor plain = denoising.run(ops, klein.dit(), noise, embeds, null, List.of(), null, null);
        Map<String, HostTensor> seen = new HashMap<>();
        HostTensor watched = denoising.run(ops, klein.dit(), noise, embeds, null, List.of(), recorder(seen, klein), null);
        assertEquals(klein.points().points().size(), seen.size(), "points seen");
        assertArrayEquals(plain.values(), watched.values(), 0);
    }

    @Test
    void everyPointFiresOnceAForwardAndHasItsShape() {
        List<String> fired = new ArrayList<>();
        Map<String, HostTensor> seen = new HashMap<>();
        var prompt = klein.tokenizer().prompt(Reference.SAFE, 64);
        HostTensor embeds = klein.encode(prompt);
        Observer all = new Observer() {
            @Override
            public boolean wants(String point) {
                return true;
            }

            @Override
            public void saw(int step, Pass pass, String point, Tensor tensor) {
                fired.add(step + " " + pass + " " + point);
                seen.put(point, tensor.toHost());
            }
        };
        new Denoising(2, 4, false).run(ops, klein.dit(), noises(1).get(1L), embeds, embeds, List.of(), all, null);
        List<Point> points = klein.points().points();
        assertEquals(points.size() * 2 * 2, fired.size());
        assertEquals(fired.size(), fired.stream().distinct().count());
        assertEquals(points.stream().map(Point::name).collect(Collectors.toSet()), seen.keySet());
        for (Point point : points) {
            String shape = point.shape().replace("B", "1").replace("img", "24").replace("txt", "64").replace("all", "88");
            assertEquals(shape, seen.get(point.name()).shape().toString(), point.name());
        }
    }

    private PairedNorms run(Denoising denoising, int seeds) {
        var points = new LinkedHashSet<>(klein.points().points());
        points.removeIf(point -> point.role() != Point.Role.BLOCK && point.role() != Point.Role.BRANCH);
        return PairedProtocol.run(new NormsRun(klein, Reference.SAFE, Reference.EXTREME, denoising, 64), noises(seeds), points,
                NOTHING_KEPT, Map.of(), done -> { });
    }

    private TreeMap<Long, HostTensor> noises(int seeds) {
        TreeMap<Long, HostTensor> noises = new TreeMap<>();
        Shape shape = klein.latentShape(96, 64);
        for (long seed = 1; seed <= seeds; seed++) {
            noises.put(seed, new HostTensor("latents", shape,
                    TorchNoise.randn(TorchNoise.Kind.TORCH_CPU, TorchNoise.Type.F32, seed, shape.dims())));
        }
        return noises;
    }

    private static Observer recorder(Map<String, HostTensor> seen, Klein klein) {
        return new Observer() {
            @Override
            public boolean wants(String point) {
                return true;
            }

            @Override
            public void saw(int step, Pass pass, String point, Tensor tensor) {
                seen.put(point, tensor.toHost());
            }
        };
    }
}
