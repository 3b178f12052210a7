package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Rows of scores as powers of two: {@code 2^(scale (score - largest))}, where {@code scale} has the logarithm of e in it. Sums are f32 over
 * a lane's terms of {@link #SUMMED} neighbours and f64 beyond.
 */
final class Softmax {

    /** Terms that are summed in vectors. */
    private static final int SUMMED = 256;

    private Softmax() {
    }

    /** What a score is multiplied by to be an exponent of two. */
    static float scale(int headDim) {
        return (float) (1 / (Math.sqrt(headDim) * Math.log(2)));
    }

    /**
     * Replaces the first {@code seen} scores of a row by their powers, and those after them up to {@code end} by zero.
     *
     * @param from bytes to the row, which has room for whole vectors
     * @param lanes scratch
     * @return the sum of the powers; 1 where there are none
     */
    static float powers(MemorySegment scores, long from, int seen, int end, float scale, float[] lanes) {
        double total = seen == 0 ? 1 : 0;
        if (seen > 0) {
            float largest = largest(scores, from, seen);
            for (int first = 0; first < seen; first += SUMMED) {
                total += powers(scores, from + (long) first * Float.BYTES, Math.min(SUMMED, seen - first), scale, -largest * scale, lanes);
            }
        }
        scores.asSlice(from + (long) seen * Float.BYTES, (long) (end - seen) * Float.BYTES).fill((byte) 0);
        return (float) total;
    }

    /** The largest number; where there are others, a NaN may go unseen. */
    private static float largest(MemorySegment scores, long from, int count) {
        // compared and blended, since FloatVector.max takes thrice as many instructions to tell zeros and NaNs apart
        FloatVector even = Lanes.broadcast(Float.NEGATIVE_INFINITY);
        FloatVector odd = even;
        int i = 0;
        for (; i + 2 * COUNT <= count; i += 2 * COUNT) {
            FloatVector a = Lanes.load(scores, from + (long) i * Float.BYTES);
            FloatVector b = Lanes.load(scores, from + (long) (i + COUNT) * Float.BYTES);
            even = even.blend(a, a.compare(VectorOperators.GT, even));
            odd = odd.blend(b, b.compare(VectorOperators.GT, odd));
        }
        float largest = even.max(odd).reduceLanes(VectorOperators.MAX);
        for (; i < count; i++) {
            largest = Math.max(largest, scores.get(Lanes.FLOAT, from + (long) i * Float.BYTES));
        }
        return largest;
    }

    private static double powers(MemorySegment scores, long from, int count, float scale, float shift, float[] lanes) {
        FloatVector factor = Lanes.broadcast(scale);
        FloatVector term = Lanes.broadcast(shift);
        FloatVector sum = FloatVector.zero(FLOATS);
        int whole = count / COUNT * COUNT;
        for (int i = 0; i < whole; i += COUNT) {
            long at = from + (long) i * Float.BYTES;
            FloatVector power = Lanes.exp2(Lanes.load(scores, at).fma(factor, term));
            Lanes.store(power, scores, at);
            sum = sum.add(power);
        }
        sum.intoArray(lanes, 0);
        double total = Lanes.sum(lanes, 0);
        if (whole < count) {
            long at = from + (long) whole * Float.BYTES;
            Lanes.store(Lanes.exp2(Lanes.load(scores, at).fma(factor, term)), scores, at);
            for (int i = whole; i < count; i++) {
                total += scores.get(Lanes.FLOAT, from + (long) i * Float.BYTES);
            }
        }
        return total;
    }
}
