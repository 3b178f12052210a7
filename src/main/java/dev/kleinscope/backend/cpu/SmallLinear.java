package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Linear layers of few weights, with sums in f64: of a model that small, time is spent elsewhere, and rounding is what tells it from its
 * peer. A sum runs over its terms in their order, so that a row's bits do not depend on other rows or on the number of threads.
 */
final class SmallLinear {

    /** Numbers of weights below which a layer is small. */
    static final long LEAST_WEIGHTS = 1 << 16;

    private static final int CHUNK_PRODUCTS = 1 << 18;
    private static final int ROW_SLOT = 0;

    private SmallLinear() {
    }

    static boolean suits(Linear layer) {
        return layer.in() * layer.out() < LEAST_WEIGHTS;
    }

    static void run(Workers workers, Tensor x, Linear layer, Tensor out) {
        Rows rows = Rows.of(x);
        int in = Math.toIntExact(layer.in());
        int width = Math.toIntExact(layer.out());
        if (rows.count() == 0 || width == 0) {
            return;
        }
        double[] columns = columns(layer, in, width);
        float[] bias = layer.bias() == null ? null : HostRows.read(layer.bias(), 0);
        int chunkRows = Math.max(1, CHUNK_PRODUCTS / Math.max(1, in * width));
        MemorySegment target = HostRows.segment(out);
        workers.run(Math.toIntExact(Math.ceilDiv(rows.count(), chunkRows)), (chunk, scratch) -> {
            float[] row = scratch.floats(ROW_SLOT, Math.max(in, width));
            double[] sums = new double[width];
            long end = Math.min(rows.count(), (chunk + 1L) * chunkRows);
            for (long i = (long) chunk * chunkRows; i < end; i++) {
                rows.read(i, 0, in, row, 0);
                Arrays.fill(sums, 0);
                for (int term = 0; term < in; term++) {
                    add(row[term], columns, term * width, sums);
                }
                for (int j = 0; j < width; j++) {
                    row[j] = (float) (bias == null ? sums[j] : sums[j] + bias[j]);
                }
                MemorySegment.copy(row, 0, target, Lanes.FLOAT, out.rowOffset(i) * Float.BYTES, width);
            }
        });
    }

    /** A loop that the compiler vectorises. */
    private static void add(double factor, double[] columns, int from, double[] sums) {
        for (int j = 0; j < sums.length; j++) {
            sums[j] += factor * columns[from + j];
        }
    }

    /** The weights of each term side by side. */
    private static double[] columns(Linear layer, int in, int width) {
        Rows weights = Rows.of(layer.weight());
        double[] columns = new double[in * width];
        float[] row = new float[in];
        for (int j = 0; j < width; j++) {
            weights.read(j, 0, in, row, 0);
            for (int term = 0; term < in; term++) {
                columns[term * width + j] = row[term];
            }
        }
        return columns;
    }
}
