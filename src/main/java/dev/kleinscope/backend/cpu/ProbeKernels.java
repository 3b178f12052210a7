package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What observers measure and interventions project, in f64: parts of it that threads share out. */
final class ProbeKernels {

    /** Neighbouring channels that are summed together. */
    static final int CHANNELS = 64;

    private ProbeKernels() {
    }

    static void rowMoments(Tensor x, Tensor before, Tensor out, long row) {
        int width = Math.toIntExact(x.dim(-1));
        MemorySegment a = HostRows.segment(x);
        long at = x.rowOffset(row);
        double squares = 0;
        if (before == null) {
            for (int i = 0; i < width; i++) {
                double value = a.getAtIndex(ValueLayout.JAVA_FLOAT, at + i);
                squares += value * value;
            }
            write(out, row, squares);
            return;
        }
        MemorySegment b = HostRows.segment(before);
        long beforeAt = before.rowOffset(row);
        double changes = 0;
        double products = 0;
        for (int i = 0; i < width; i++) {
            double value = a.getAtIndex(ValueLayout.JAVA_FLOAT, at + i);
            double other = b.getAtIndex(ValueLayout.JAVA_FLOAT, beforeAt + i);
            squares += value * value;
            changes += (value - other) * (value - other);
            products += value * other;
        }
        write(out, row, squares, changes, products);
    }

    private static void write(Tensor out, long row, double... sums) {
        MemorySegment segment = HostRows.segment(out);
        long at = out.rowOffset(row);
        for (double sum : sums) {
            float nearest = (float) sum;
            segment.setAtIndex(ValueLayout.JAVA_FLOAT, at++, nearest);
            segment.setAtIndex(ValueLayout.JAVA_FLOAT, at++, (float) (sum - nearest));
        }
    }

    /** Channels {@code CHANNELS * part} on of a row of {@code out} [batch, ranges, hidden]. */
    static void channelEnergies(Tensor x, int[] bounds, Tensor out, long row, long part) {
        int from = Math.toIntExact(part * CHANNELS);
        double[] sums = new double[Math.min(CHANNELS, Math.toIntExact(x.dim(2)) - from)];
        int range = (int) (row % out.dim(1));
        long batch = row / out.dim(1);
        MemorySegment segment = HostRows.segment(x);
        for (int token = bounds[2 * range]; token < bounds[2 * range + 1]; token++) {
            long at = x.rowOffset(batch * x.dim(1) + token) + from;
            for (int i = 0; i < sums.length; i++) {
                double value = segment.getAtIndex(ValueLayout.JAVA_FLOAT, at + i);
                sums[i] += value * value;
            }
        }
        MemorySegment target = HostRows.segment(out);
        for (int i = 0; i < sums.length; i++) {
            target.setAtIndex(ValueLayout.JAVA_FLOAT, out.rowOffset(row) + from + i, (float) sums[i]);
        }
    }

    static void addProjections(Tensor x, Tensor from, Tensor to, Tensor out, long row) {
        float[] values = HostRows.read(x, row);
        double[] sum = new double[values.length];
        for (int i = 0; i < sum.length; i++) {
            sum[i] = values[i];
        }
        for (long k = 0; k < from.dim(0); k++) {
            float[] along = HostRows.read(from, k);
            double share = 0;
            for (int i = 0; i < values.length; i++) {
                share += (double) values[i] * along[i];
            }
            float[] added = HostRows.read(to, k);
            for (int i = 0; i < sum.length; i++) {
                sum[i] += share * added[i];
            }
        }
        for (int i = 0; i < sum.length; i++) {
            values[i] = (float) sum[i];
        }
        HostRows.write(out, row, values);
    }
}
