package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** What observers measure and interventions project, in f64: parts of it that threads share out. */
final class ProbeKernels {

    /** Neighbouring channels that are summed together. */
    static final int CHANNELS = 64;

    private static final VectorSpecies<Double> DOUBLES = DoubleVector.SPECIES_PREFERRED;
    private static final int DOUBLE_COUNT = DOUBLES.length();
    /** As many f32 values as f64 values fill a vector. */
    private static final VectorSpecies<Float> HALF = VectorSpecies.of(float.class,
            VectorShape.forBitSize(Math.max(64, DOUBLES.vectorBitSize() / 2)));

    private ProbeKernels() {
    }

    /** Four vectors of sums side by side in f64, then over lanes in their order. */
    static void rowMoments(Tensor x, Tensor before, Tensor out, long row) {
        int width = Math.toIntExact(x.dim(-1));
        MemorySegment a = HostRows.segment(x);
        long at = x.rowOffset(row) * Float.BYTES;
        if (before == null) {
            write(out, row, squares(a, at, width));
            return;
        }
        changes(a, at, HostRows.segment(before), before.rowOffset(row) * Float.BYTES, width, out, row);
    }

    private static double squares(MemorySegment a, long at, int width) {
        DoubleVector s0 = DoubleVector.zero(DOUBLES);
        DoubleVector s1 = s0;
        DoubleVector s2 = s0;
        DoubleVector s3 = s0;
        int i = 0;
        for (; i <= width - 4 * DOUBLE_COUNT; i += 4 * DOUBLE_COUNT) {
            DoubleVector value = load(a, at, i);
            s0 = value.fma(value, s0);
            value = load(a, at, i + DOUBLE_COUNT);
            s1 = value.fma(value, s1);
            value = load(a, at, i + 2 * DOUBLE_COUNT);
            s2 = value.fma(value, s2);
            value = load(a, at, i + 3 * DOUBLE_COUNT);
            s3 = value.fma(value, s3);
        }
        double sum = sum(s0.add(s1).add(s2.add(s3)));
        for (; i < width; i++) {
            double value = a.get(Lanes.FLOAT, at + (long) i * Float.BYTES);
            sum += value * value;
        }
        return sum;
    }

    private static void changes(MemorySegment a, long at, MemorySegment b, long beforeAt, int width, Tensor out, long row) {
        DoubleVector squares0 = DoubleVector.zero(DOUBLES);
        DoubleVector squares1 = squares0;
        DoubleVector changes0 = squares0;
        DoubleVector changes1 = squares0;
        DoubleVector products0 = squares0;
        DoubleVector products1 = squares0;
        int i = 0;
        for (; i <= width - 2 * DOUBLE_COUNT; i += 2 * DOUBLE_COUNT) {
            DoubleVector value = load(a, at, i);
            DoubleVector other = load(b, beforeAt, i);
            DoubleVector change = value.sub(other);
            squares0 = value.fma(value, squares0);
            changes0 = change.fma(change, changes0);
            products0 = value.fma(other, products0);
            value = load(a, at, i + DOUBLE_COUNT);
            other = load(b, beforeAt, i + DOUBLE_COUNT);
            change = value.sub(other);
            squares1 = value.fma(value, squares1);
            changes1 = change.fma(change, changes1);
            products1 = value.fma(other, products1);
        }
        double squares = sum(squares0.add(squares1));
        double changes = sum(changes0.add(changes1));
        double products = sum(products0.add(products1));
        for (; i < width; i++) {
            double value = a.get(Lanes.FLOAT, at + (long) i * Float.BYTES);
            double other = b.get(Lanes.FLOAT, beforeAt + (long) i * Float.BYTES);
            squares += value * value;
            changes += (value - other) * (value - other);
            products += value * other;
        }
        write(out, row, squares, changes, products);
    }

    private static DoubleVector load(MemorySegment segment, long at, int i) {
        return (DoubleVector) FloatVector.fromMemorySegment(HALF, segment, at + (long) i * Float.BYTES, ByteOrder.LITTLE_ENDIAN)
                .convertShape(VectorOperators.F2D, DOUBLES, 0);
    }

    private static double sum(DoubleVector lanes) {
        double sum = 0;
        for (int lane = 0; lane < DOUBLE_COUNT; lane++) {
            sum += lanes.lane(lane);
        }
        return sum;
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
