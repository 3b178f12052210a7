package dev.kleinscope.cli;

import dev.kleinscope.analysis.NormsProbe;
import dev.kleinscope.backend.cuda.CudaOps;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.model.dit.PositionIds;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Latents;
import dev.kleinscope.pipeline.Readings;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelFiles;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * What watching every block costs on a GPU, part by part: forwards of klein-4B on random weights, each observer in turns
 * with nobody. Arguments: sizes in pixels (256, 1024), rounds (30).
 */
final class WatchBench {

    private static final int TEXT_TOKENS = 512;
    private static final int WARMUP = 20;

    private WatchBench() {
    }

    /** How much an observer does. */
    private enum Depth { SEES, SUMS, FETCHES }

    private record Watching(Ops ops, Set<String> points, Readings readings, Depth depth) implements Observer {

        @Override
        public boolean wants(String point) {
            return points.contains(point);
        }

        @Override
        public boolean queues() {
            return true;
        }

        @Override
        public void saw(int step, Pass pass, String point, Tensor tensor) {
            if (depth != Depth.SEES) {
                readings.rowMoments(tensor, null);
            }
        }

        @Override
        public void again() {
            readings.reuse();
        }

        @Override
        public void done(int step, Pass pass) {
            if (depth == Depth.FETCHES) {
                readings.finish();
            } else {
                ops.finish();
            }
            readings.reuse();
        }
    }

    public static void main(String[] args) {
        int rounds = args.length > 1 ? Integer.parseInt(args[1]) : 30;
        ModelFiles files = ModelFiles.random("klein-4b", RandomSizes.of("klein-4b"), ModelOptions.bundled(), 1, false);
        try (Ops ops = new CudaOps(Precision.BF16); Klein klein = new Klein(files, ops)) {
            for (String size : args.length > 0 ? args[0].split(",") : new String[] {"256", "1024"}) {
                time(ops, klein, Integer.parseInt(size), rounds);
            }
        }
    }

    private static void time(Ops ops, Klein klein, int size, int rounds) {
        Shape shape = klein.latentShape(size, size);
        PositionIds txtIds = PositionIds.text(TEXT_TOKENS);
        PositionIds imgIds = PositionIds.image(size / 16, size / 16);
        Set<String> blocks = klein.points().points().stream().filter(point -> point.role() == Point.Role.BLOCK).map(Point::name)
                .collect(Collectors.toSet());
        Map<String, Observer> observers = new LinkedHashMap<>();
        observers.put("sees", new Watching(ops, blocks, klein.readings(), Depth.SEES));
        observers.put("sums", new Watching(ops, blocks, klein.readings(), Depth.SUMS));
        observers.put("fetches", new Watching(ops, blocks, klein.readings(), Depth.FETCHES));
        observers.put("norms", NormsProbe.blockNorms(klein));
        try (Frame _ = ops.frame()) {
            Tensor noise = ops.input(Latents.pack(normal(1, shape)));
            Tensor embeds = ops.input(normal(2, Shape.of(1, TEXT_TOKENS, klein.ditConfig().textDim())));
            Rope rope = klein.dit().rope(ops, txtIds, imgIds);
            for (Map.Entry<String, Observer> each : observers.entrySet()) {
                List<Double> plain = new ArrayList<>();
                List<Double> watched = new ArrayList<>();
                List<Double> queued = new ArrayList<>();
                for (int round = 0; round < WARMUP + rounds; round++) {
                    for (Observer observer : Arrays.asList(null, each.getValue())) {
                        long start = System.nanoTime();
                        long returned;
                        try (Frame _ = ops.frame()) {
                            Tensor velocity = klein.dit().forward(ops, noise, embeds, new float[] {0.5f}, null, txtIds, imgIds, rope,
                                    observer == null ? Probes.NONE : Probes.of(observer, 0, Pass.COND));
                            returned = System.nanoTime();
                            if (observer != null) {
                                observer.done(0, Pass.COND);
                            }
                            velocity.slice(0, 0, 1).slice(1, 0, 1).toHost();
                        }
                        if (round >= WARMUP) {
                            (observer == null ? plain : watched).add((System.nanoTime() - start) / 1e6);
                            if (observer != null) {
                                queued.add((returned - start) / 1e6);
                            }
                        }
                    }
                }
                System.out.printf(Locale.ROOT, "%d %-8s %.3f ms beside %.3f: %+.3f; in the same round %+.3f; queued in %.3f ms%n", size,
                        each.getKey(), median(watched), median(plain), median(watched) - median(plain),
                        median(IntStream.range(0, rounds).mapToObj(i -> watched.get(i) - plain.get(i)).toList()), median(queued));
            }
        }
    }

    private static double median(List<Double> values) {
        return values.stream().sorted().toList().get(values.size() / 2);
    }

    private static HostTensor normal(long seed, Shape shape) {
        Random random = new Random(seed);
        float[] values = new float[Math.toIntExact(shape.elements())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return new HostTensor("random", shape, values);
    }
}
