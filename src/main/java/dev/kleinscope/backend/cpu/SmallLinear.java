package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Linear layers of few weights, with sums in f64: of a model that small, time is spent elsewhere, and rounding is what tells it from its
 * peer. A sum runs over its terms in their order, so that a row's bits do not depend on other rows or on the number of threads.
 */
final class SmallLinear {

    /** Numbers of weights below which a layer is small. */
    static final long LEAST_WEIGHTS = 1 << 16;

    private static final VectorSpecies<Double> DOUBLES = DoubleVector.SPECIES_PREFERRED;
    private static final int LANES = DOUBLES.length();
    /** Outputs whose sums stay in registers, of two rows. */
    private static final int PANEL = 4 * LANES;
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
        double[] panels = panels(layer, in, width);
        float[] bias = layer.bias() == null ? null : HostRows.read(layer.bias(), 0);
        int chunkRows = Math.max(1, CHUNK_PRODUCTS / Math.max(1, in * width));
        MemorySegment target = HostRows.segment(out);
        workers.run(Math.toIntExact(Math.ceilDiv(rows.count(), chunkRows)), (chunk, scratch) -> {
            long first = (long) chunk * chunkRows;
            int count = (int) Math.min(chunkRows, rows.count() - first);
            double[] inputs = widened(rows, first, count, in, scratch);
            int stride = Math.ceilDiv(width, PANEL) * PANEL;
            double[] sums = new double[count * stride];
            for (int panel = 0; panel < stride / PANEL; panel++) {
                for (int row = 0; row < count; row += 2) {
                    multiply(inputs, row * in, Math.min(row + 1, count - 1) * in, panels, panel * in * PANEL, in, sums, row * stride + panel * PANEL,
                            Math.min(row + 1, count - 1) * stride + panel * PANEL);
                }
            }
            float[] result = scratch.floats(ROW_SLOT, width);
            for (int row = 0; row < count; row++) {
                for (int j = 0; j < width; j++) {
                    double sum = sums[row * stride + j];
                    result[j] = (float) (bias == null ? sum : sum + bias[j]);
                }
                MemorySegment.copy(result, 0, target, Lanes.FLOAT, out.rowOffset(first + row) * Float.BYTES, width);
            }
        });
    }

    /** Two rows times a panel; they may be the same row. */
    private static void multiply(double[] inputs, int one, int other, double[] panels, int at, int terms, double[] sums, int toOne,
            int toOther) {
        DoubleVector a0 = DoubleVector.zero(DOUBLES);
        DoubleVector a1 = a0;
        DoubleVector a2 = a0;
        DoubleVector a3 = a0;
        DoubleVector b0 = a0;
        DoubleVector b1 = a0;
        DoubleVector b2 = a0;
        DoubleVector b3 = a0;
        for (int term = 0; term < terms; term++) {
            int from = at + term * PANEL;
            DoubleVector a = DoubleVector.broadcast(DOUBLES, inputs[one + term]);
            DoubleVector b = DoubleVector.broadcast(DOUBLES, inputs[other + term]);
            DoubleVector weight = DoubleVector.fromArray(DOUBLES, panels, from);
            a0 = weight.fma(a, a0);
            b0 = weight.fma(b, b0);
            weight = DoubleVector.fromArray(DOUBLES, panels, from + LANES);
            a1 = weight.fma(a, a1);
            b1 = weight.fma(b, b1);
            weight = DoubleVector.fromArray(DOUBLES, panels, from + 2 * LANES);
            a2 = weight.fma(a, a2);
            b2 = weight.fma(b, b2);
            weight = DoubleVector.fromArray(DOUBLES, panels, from + 3 * LANES);
            a3 = weight.fma(a, a3);
            b3 = weight.fma(b, b3);
        }
        a0.intoArray(sums, toOne);
        a1.intoArray(sums, toOne + LANES);
        a2.intoArray(sums, toOne + 2 * LANES);
        a3.intoArray(sums, toOne + 3 * LANES);
        b0.intoArray(sums, toOther);
        b1.intoArray(sums, toOther + LANES);
        b2.intoArray(sums, toOther + 2 * LANES);
        b3.intoArray(sums, toOther + 3 * LANES);
    }

    private static double[] widened(Rows rows, long first, int count, int in, Scratch scratch) {
        double[] inputs = new double[count * in];
        float[] row = scratch.floats(ROW_SLOT, in);
        for (int i = 0; i < count; i++) {
            rows.read(first + i, 0, in, row, 0);
            for (int term = 0; term < in; term++) {
                inputs[i * in + term] = row[term];
            }
        }
        return inputs;
    }

    /** The weights of a panel's outputs term by term, and zeros beyond the last output. */
    private static double[] panels(Linear layer, int in, int width) {
        Rows weights = Rows.of(layer.weight());
        double[] panels = new double[Math.ceilDiv(width, PANEL) * PANEL * in];
        float[] row = new float[in];
        for (int j = 0; j < width; j++) {
            weights.read(j, 0, in, row, 0);
            int at = j / PANEL * in * PANEL + j % PANEL;
            for (int term = 0; term < in; term++) {
                panels[at + term * PANEL] = row[term];
            }
        }
        return panels;
    }
}
