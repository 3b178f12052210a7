package dev.kleinscope.analysis;

import dev.kleinscope.tensor.Tensor;
import java.util.List;
import java.util.stream.LongStream;

/**
 * How far one tensor is from another, read a piece at a time on all cores and summed in f64; the result does not depend on their number.
 *
 * <p>Values that are not finite agree where both are the same one; elsewhere they make the distance infinite. Norms and cosine are
 * over what is finite in both.
 */
final class TensorDistance {

    private static final int PIECE = 1 << 16;
    /** Summed by one thread. */
    private static final long BLOCK = 1 << 20;

    private double squaresA;
    private double squaresB;
    private double product;
    private double squaresOfDifference;
    private double maxAbs = -1;
    private long worst;
    private float worstA;
    private float worstB;
    private long notFiniteA;
    private long notFiniteB;

    private TensorDistance() {
    }

    /**
     * @param a contiguous
     * @param b as many elements
     * @throws UnsupportedOperationException if one holds no numbers
     */
    static TensorDistance of(Tensor a, Tensor b) {
        long elements = a.shape().elements();
        List<TensorDistance> blocks = LongStream.range(0, Math.ceilDiv(elements, BLOCK)).parallel()
                .mapToObj(block -> block(a, b, block * BLOCK, Math.min(elements, (block + 1) * BLOCK))).toList();
        TensorDistance distance = new TensorDistance();
        blocks.forEach(distance::add);
        return distance;
    }

    private static TensorDistance block(Tensor a, Tensor b, long from, long to) {
        TensorDistance distance = new TensorDistance();
        float[] piecesA = new float[(int) Math.min(PIECE, to - from)];
        float[] piecesB = new float[piecesA.length];
        for (long at = from; at < to; at += PIECE) {
            int count = (int) Math.min(PIECE, to - at);
            a.storage().read(a.dtype(), a.offset() + at, count, piecesA, 0);
            b.storage().read(b.dtype(), b.offset() + at, count, piecesB, 0);
            distance.add(piecesA, piecesB, count, at);
        }
        return distance;
    }

    /** Adds what comes after. */
    private void add(TensorDistance next) {
        squaresA += next.squaresA;
        squaresB += next.squaresB;
        product += next.product;
        squaresOfDifference += next.squaresOfDifference;
        notFiniteA += next.notFiniteA;
        notFiniteB += next.notFiniteB;
        if (next.maxAbs > maxAbs) {
            maxAbs = next.maxAbs;
            worst = next.worst;
            worstA = next.worstA;
            worstB = next.worstB;
        }
    }

    private void add(float[] a, float[] b, int count, long at) {
        for (int i = 0; i < count; i++) {
            double x = a[i];
            double y = b[i];
            double difference = Math.abs(y - x);
            if (difference <= Double.MAX_VALUE) {
                squaresA += x * x;
                squaresB += y * y;
                product += x * y;
                squaresOfDifference += difference * difference;
            } else {
                difference = notFinite(a[i], b[i]);
            }
            if (difference > maxAbs) {
                maxAbs = difference;
                worst = at + i;
                worstA = a[i];
                worstB = b[i];
            }
        }
    }

    private double notFinite(float a, float b) {
        notFiniteA += Float.isFinite(a) ? 0 : 1;
        notFiniteB += Float.isFinite(b) ? 0 : 1;
        if (Float.compare(a, b) == 0) {
            return 0;
        }
        squaresOfDifference = Double.POSITIVE_INFINITY;
        return Double.POSITIVE_INFINITY;
    }

    /** {@code ||b - a|| / ||a||}; 0 where nothing differs. */
    double relativeL2() {
        return squaresOfDifference == 0 ? 0 : Math.sqrt(squaresOfDifference) / Math.sqrt(squaresA);
    }

    double maxAbs() {
        return Math.max(0, maxAbs);
    }

    /** Row-major index of the largest difference. */
    long worst() {
        return worst;
    }

    float worstA() {
        return worstA;
    }

    float worstB() {
        return worstB;
    }

    double normA() {
        return Math.sqrt(squaresA);
    }

    double normB() {
        return Math.sqrt(squaresB);
    }

    /** NaN where a norm is 0. */
    double cosine() {
        return Math.clamp(product / (Math.sqrt(squaresA) * Math.sqrt(squaresB)), -1.0, 1.0);
    }

    long notFiniteA() {
        return notFiniteA;
    }

    long notFiniteB() {
        return notFiniteB;
    }
}
