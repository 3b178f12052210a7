package dev.kleinscope.cli;

import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Moments;
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
        Moments sums = new Moments();
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
                List<Moments> parts = LongStream.range(0, Math.ceilDiv(count, BLOCK)).parallel().mapToObj(block -> block(tensor,
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
        return of(sums);
    }

    private static Moments block(Tensor tensor, long first, long count) {
        Moments sums = new Moments();
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

    private static TensorStats of(Moments sums) {
        return sums.count() == 0 ? new TensorStats(null, null, null, null, 0, sums.nans(), sums.infinities())
                : new TensorStats(sums.mean(), sums.std(), sums.min(), sums.max(), Math.sqrt(sums.squares()), sums.nans(), sums.infinities());
    }
}
