package dev.kleinscope.cli;

import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Tensor;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.LongStream;

/**
 * What the values of a tensor are like. NaN and infinities are counted and left out of all else.
 *
 * @param mean over finite values, accumulated in f64; null if there are none
 * @param std deviation over finite values (of the population, not of a sample); null if there are none
 * @param min smallest finite value; null if there are none
 * @param max largest finite value; null if there are none
 * @param norm L2 norm of the finite values
 * @param nan values that are no numbers
 * @param infinite values that are infinite
 */
record TensorStats(Double mean, Double std, Double min, Double max, double norm, long nan, long infinite) {

    private static final Set<DType> UNREADABLE = EnumSet.of(DType.F4, DType.F6_E2M3, DType.F6_E3M2, DType.F8_E8M0,
            DType.F8_E4M3FNUZ, DType.F8_E5M2FNUZ, DType.C64);
    private static final Set<DType> WIDER_THAN_F32 = EnumSet.of(DType.F64, DType.I64, DType.U64, DType.I32, DType.U32);
    private static final int BUFFER = 1 << 14;
    private static final long BLOCK = 1 << 20;
    /** Blocks between two reports of progress, on all cores. */
    private static final long ROUND = 8;

    /** How often {@link #of} reports progress. */
    static long steps(Tensor tensor) {
        return Math.max(1, Math.ceilDiv(tensor.shape().elements(), BLOCK * ROUND));
    }

    /**
     * Reads a tensor once, a block at a time on all cores; the result does not depend on their number.
     *
     * @param progress called {@link #steps} times
     * @return null for a type whose values cannot be read as numbers
     */
    static TensorStats of(Tensor tensor, Runnable progress) {
        if (UNREADABLE.contains(tensor.dtype())) {
            progress.run();
            return null;
        }
        long rows = tensor.contiguous() ? 1 : tensor.rows();
        long width = tensor.shape().elements() / Math.max(1, rows);
        Sums sums = new Sums();
        long blocks = 0;
        long reported = 0;
        for (long row = 0; row < rows; row++) {
            long begin = tensor.contiguous() ? tensor.offset() : tensor.rowOffset(row);
            for (long from = 0; from < width; from += BLOCK * ROUND) {
                if (Thread.interrupted()) {
                    throw new RunInterruptedException("stopped at " + tensor.name());
                }
                long first = begin + from;
                long count = Math.min(BLOCK * ROUND, width - from);
                List<Sums> parts = LongStream.range(0, Math.ceilDiv(count, BLOCK)).parallel().mapToObj(block -> block(tensor,
                        first + block * BLOCK, Math.min(BLOCK, count - block * BLOCK))).toList();
                parts.forEach(sums::add);
                blocks += count;
                for (; reported < blocks / (BLOCK * ROUND); reported++) {
                    progress.run();
                }
            }
        }
        for (; reported < steps(tensor); reported++) {
            progress.run();
        }
        return sums.stats();
    }

    private static Sums block(Tensor tensor, long first, long count) {
        Sums sums = new Sums();
        if (WIDER_THAN_F32.contains(tensor.dtype())) {
            HostStorage storage = (HostStorage) tensor.storage();
            double[] values = new double[BUFFER];
            for (long from = 0; from < count; from += BUFFER) {
                int length = (int) Math.min(BUFFER, count - from);
                for (int i = 0; i < length; i++) {
                    values[i] = storage.value(tensor.dtype(), first + from + i);
                }
                sums.add(values, length);
            }
            return sums;
        }
        float[] read = new float[BUFFER];
        double[] values = new double[BUFFER];
        for (long from = 0; from < count; from += BUFFER) {
            int length = (int) Math.min(BUFFER, count - from);
            tensor.storage().read(tensor.dtype(), first + from, length, read, 0);
            for (int i = 0; i < length; i++) {
                values[i] = read[i];
            }
            sums.add(values, length);
        }
        return sums;
    }

    /** Running moments, merged as Chan, Golub and LeVeque (1979) do, so that a large mean costs no digits of the deviation. */
    private static final class Sums {

        private long count;
        private long nan;
        private long infinite;
        private double mean;
        private double deviations;
        private double squares;
        private double min = Double.POSITIVE_INFINITY;
        private double max = Double.NEGATIVE_INFINITY;

        void add(double[] values, int length) {
            Sums part = new Sums();
            double sum = 0;
            for (int i = 0; i < length; i++) {
                double value = values[i];
                if (Math.abs(value) <= Double.MAX_VALUE) {
                    values[(int) part.count++] = value;
                    sum += value;
                    part.squares += value * value;
                    part.min = Math.min(part.min, value);
                    part.max = Math.max(part.max, value);
                } else if (Double.isNaN(value)) {
                    part.nan++;
                } else {
                    part.infinite++;
                }
            }
            part.mean = part.count == 0 ? 0 : sum / part.count;
            for (int i = 0; i < part.count; i++) {
                double deviation = values[i] - part.mean;
                part.deviations += deviation * deviation;
            }
            add(part);
        }

        void add(Sums other) {
            nan += other.nan;
            infinite += other.infinite;
            if (other.count == 0) {
                return;
            }
            long total = count + other.count;
            double difference = other.mean - mean;
            mean += difference * other.count / total;
            deviations += other.deviations + difference * difference * count / total * other.count;
            squares += other.squares;
            min = Math.min(min, other.min);
            max = Math.max(max, other.max);
            count = total;
        }

        TensorStats stats() {
            return count == 0 ? new TensorStats(null, null, null, null, 0, nan, infinite)
                    : new TensorStats(mean, Math.sqrt(deviations / count), min, max, Math.sqrt(squares), nan, infinite);
        }
    }
}
