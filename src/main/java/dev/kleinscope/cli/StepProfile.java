package dev.kleinscope.cli;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.TimedOps;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Where the time of a transformer's step goes, and how far that is from what its products take alone on the same machine in the same run.
 *
 * @param size of the picture
 * @param runs that the times are means of
 * @param seconds of a step
 * @param linears seconds that the products of its linear layers take one by one, each repeated on memory that is in use
 * @param attentions seconds that the products of its attention would take in f32 at the rate of a linear layer of as many rows
 * @param ratio of the step to both
 * @param line that the ratio should not exceed
 * @param norms seconds that the L2 norms of all blocks' outputs take besides
 * @param entries by operation and shape, the longest first
 */
record StepProfile(String size, int runs, double seconds, double linears, double attentions, double ratio, double line, double norms,
        List<Entry> entries) {

    /** What a step may take, measured in its products alone. */
    private static final double LINE = 1.2;
    private static final int ROUNDS = 3;
    private static final long COPIED_FLOATS = 1 << 24;

    /**
     * Operations that are alike.
     *
     * @param calls in a step
     * @param seconds of a step, all calls
     * @param share of the step
     * @param rate GFLOP/s, or GB/s where memory bounds it
     * @param ceiling the rate of the same products alone; for attention that of products in f32; for passes over memory that of a
     *     copy
     */
    record Entry(String operation, long rows, long in, long out, String weight, long calls, double seconds, double share, String unit,
            double rate, double ceiling) {

        String label() {
            return operation + " " + rows + (in > 0 ? " x " + in : "") + (operation.equals("linear") ? " to " : " x ") + out
                    + (weight.isEmpty() ? "" : " " + weight);
        }
    }

    /**
     * @param seconds of a step
     * @param norms seconds of a step's norms, not among those
     * @param timed holds what {@code runs} steps took
     * @param ops what they ran on
     * @param f32 the same products in f32, for the ceiling of attention
     */
    static StepProfile of(PictureSize size, int runs, double seconds, double norms, TimedOps timed, Ops ops, Ops f32) {
        List<Entry> entries = new ArrayList<>();
        double copies = copyRate(ops);
        double linears = 0;
        double attentions = 0;
        for (Map.Entry<TimedOps.Key, TimedOps.Taken> each : timed.taken().entrySet()) {
            TimedOps.Key key = each.getKey();
            TimedOps.Taken taken = each.getValue();
            boolean computes = taken.flops() > 0;
            double rate = (computes ? taken.flops() : taken.bytes()) / 1e9 / taken.seconds();
            double ceiling = copies;
            if (taken.layer() != null) {
                ceiling = productRate(ops, key.rows(), taken.layer());
                linears += taken.flops() / runs / 1e9 / ceiling;
            } else if (computes) {
                ceiling = f32Rate(f32, key.rows(), key.out());
                attentions += taken.flops() / runs / 1e9 / ceiling;
            }
            entries.add(new Entry(key.op(), key.rows(), key.in(), key.out(), key.weight(), taken.calls() / runs, taken.seconds() / runs,
                    taken.seconds() / runs / seconds, computes ? "GFLOP/s" : "GB/s", rate, ceiling));
        }
        entries.sort(Comparator.comparingDouble(Entry::seconds).reversed());
        return new StepProfile(size.toString(), runs, seconds, linears, attentions, seconds / (linears + attentions), LINE, norms,
                List.copyOf(entries));
    }

    /** GFLOP/s of a layer alone, on input of the same shape, once it was called before. */
    private static double productRate(Ops ops, long rows, Linear layer) {
        try (Frame _ = ops.frame()) {
            Tensor x = filled(ops, Shape.of(rows, layer.in()));
            Tensor out = ops.alloc(Shape.of(rows, layer.out()));
            // tokens, unlike vectors of a whole picture, may be multiplied in bf16
            Tensor from = rows == 1 ? x : x.reshape(1, rows, layer.in());
            Tensor to = rows == 1 ? out : out.reshape(1, rows, layer.out());
            return rate(2.0 * rows * layer.in() * layer.out(), () -> ops.linear(from, layer, to));
        }
    }

    private static double f32Rate(Ops f32, long rows, long width) {
        try (Frame _ = f32.frame()) {
            Linear square = new Linear(filled(f32, Shape.of(width, width)));
            return productRate(f32, rows, square);
        }
    }

    /** GB/s, read and written. */
    private static double copyRate(Ops ops) {
        try (Frame _ = ops.frame()) {
            Tensor from = filled(ops, Shape.of(COPIED_FLOATS / 4096, 4096));
            Tensor to = ops.alloc(from.shape());
            return rate(2.0 * Float.BYTES * COPIED_FLOATS, () -> ops.copy(from, to));
        }
    }

    private static Tensor filled(Ops ops, Shape shape) {
        Tensor tensor = ops.alloc(shape);
        float[] row = new float[Math.toIntExact(shape.dim(-1))];
        for (int i = 0; i < row.length; i++) {
            row[i] = (i * 7919 % 1009) / 1009f - 0.5f;
        }
        try (Frame _ = ops.frame()) {
            Tensor one = ops.input(new HostTensor("row", Shape.of(1, row.length), row));
            for (long i = 0; i < shape.dim(0); i++) {
                ops.copy(one, tensor.slice(0, i, i + 1));
            }
        }
        return tensor;
    }

    /** The median of a few, each long enough to be timed, after one that is not counted. */
    private static double rate(double work, Runnable run) {
        run.run();
        long start = System.nanoTime();
        run.run();
        int calls = (int) Math.clamp(5e7 / (System.nanoTime() - start), 1, 100);
        double[] rates = new double[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            start = System.nanoTime();
            for (int i = 0; i < calls; i++) {
                run.run();
            }
            rates[round] = work * calls / (System.nanoTime() - start);
        }
        Arrays.sort(rates);
        return rates[ROUNDS / 2];
    }

    boolean holds() {
        return ratio <= line;
    }

    List<String> lines() {
        List<String> lines = new ArrayList<>();
        lines.add(String.format(Locale.ROOT, "a step at %s takes %.3f s, its products alone %.3f s (linear layers %.3f, attention %.3f): %.2f x, "
                + "%s %.2f", size, seconds, linears + attentions, linears, attentions, ratio, holds() ? "within" : "above", line));
        lines.add(String.format(Locale.ROOT, "the norms of all blocks take %.3f s besides, %.2f%% of the step", norms, 100 * norms / seconds));
        lines.add(String.format(Locale.ROOT, "%-44s %6s %10s %7s %10s %10s %6s", "", "calls", "ms", "share", "rate", "ceiling", "of it"));
        for (Entry entry : entries) {
            lines.add(String.format(Locale.ROOT, "%-44s %6d %10.3f %6.1f%% %10.1f %10.1f %6.2f %s", entry.label(), entry.calls(),
                    1e3 * entry.seconds(), 100 * entry.share(), entry.rate(), entry.ceiling(), entry.rate() / entry.ceiling(), entry.unit()));
        }
        double known = entries.stream().mapToDouble(Entry::share).sum();
        lines.add(String.format(Locale.ROOT, "%-44s %6s %10.3f %6.1f%%", "between operations", "", 1e3 * seconds * (1 - known), 100 * (1 - known)));
        return lines;
    }
}
