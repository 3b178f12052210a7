package dev.kleinscope.weights;

import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Weights of a model that was never trained: matrices and kernels are normal with variance 1 / fan-in, embeddings with variance 1,
 * the weights and variances of norms are 1, all else is 0. Values depend on the seed, the tensor's name and their place alone.
 *
 * <p>A value is one of 65536 equally likely quantiles of the normal distribution, between -4.2 and 4.2 deviations and with
 * variance 1 before it is rounded to bf16: no tails, but four values from one number of SplitMix64 (Steele, Lea, Flood 2014).
 */
final class RandomWeights {

    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final int QUANTILES = 1 << 16;
    private static final long GOLDEN = 0x9e3779b97f4a7c15L;
    private static final double[] NORMAL = quantiles();

    private final short[] table;
    private final long key;
    private final short constant;

    private RandomWeights(short[] table, long key, short constant) {
        this.table = table;
        this.key = key;
        this.constant = constant;
    }

    /** The values of a tensor. @param declaration BF16, or integers that are to be 0 */
    static RandomWeights of(Declaration declaration, long seed) {
        String name = declaration.name();
        Shape shape = declaration.shape();
        if (declaration.dtype() == DType.BF16 && shape.rank() >= 2) {
            double fanIn = (double) shape.elements() / shape.dim(0);
            return new RandomWeights(scaled(name.endsWith("embed_tokens.weight") ? 1 : 1 / Math.sqrt(fanIn)), key(seed, name), (short) 0);
        }
        boolean one = declaration.dtype() == DType.BF16 && (name.endsWith(".weight") || name.endsWith(".running_var"));
        return new RandomWeights(null, 0, one ? BFloat16.fromFloat(1) : 0);
    }

    /**
     * Fills a piece.
     *
     * @param offset where it begins, in bytes from the tensor's first; a multiple of 8
     */
    void fill(long offset, MemorySegment piece) {
        long bytes = piece.byteSize();
        long whole = bytes - bytes % Long.BYTES;
        long counter = offset / Long.BYTES;
        for (long at = 0; at < whole; at += Long.BYTES) {
            piece.set(LONG, at, four(counter++));
        }
        long rest = whole < bytes ? four(counter) : 0;
        for (long at = whole; at < bytes; at += Short.BYTES) {
            piece.set(SHORT, at, (short) rest);
            rest >>>= 16;
        }
    }

    private long four(long counter) {
        if (table == null) {
            return (constant & 0xffffL) * 0x0001000100010001L;
        }
        long bits = mix(key + counter * GOLDEN);
        return table[(int) bits & 0xffff] & 0xffffL
                | (table[(int) (bits >>> 16) & 0xffff] & 0xffffL) << 16
                | (table[(int) (bits >>> 32) & 0xffff] & 0xffffL) << 32
                | (long) table[(int) (bits >>> 48)] << 48;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }

    private static long key(long seed, String name) {
        long key = mix(seed + GOLDEN);
        for (int i = 0; i < name.length(); i++) {
            key = mix(key + GOLDEN + name.charAt(i));
        }
        return key;
    }

    private static short[] scaled(double deviation) {
        short[] table = new short[QUANTILES];
        for (int i = 0; i < QUANTILES; i++) {
            table[i] = BFloat16.fromFloat((float) (NORMAL[i] * deviation));
        }
        return table;
    }

    /** Solves dx/dp = 1 / density(x) from the median outwards, by Runge and Kutta, then sets the variance to 1. */
    private static double[] quantiles() {
        int substeps = 16;
        double[] quantiles = new double[QUANTILES];
        double x = 0;
        double squares = 0;
        for (int i = 0; i < QUANTILES / 2; i++) {
            // the first quantile lies half a step from the median
            double h = (i == 0 ? 0.5 : 1.0) / QUANTILES / substeps;
            for (int j = 0; j < substeps; j++) {
                double k1 = slope(x);
                double k2 = slope(x + h / 2 * k1);
                double k3 = slope(x + h / 2 * k2);
                x += h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(x + h * k3));
            }
            quantiles[QUANTILES / 2 + i] = x;
            quantiles[QUANTILES / 2 - 1 - i] = -x;
            squares += 2 * x * x;
        }
        double scale = Math.sqrt(QUANTILES / squares);
        for (int i = 0; i < QUANTILES; i++) {
            quantiles[i] *= scale;
        }
        return quantiles;
    }

    /** The same on every platform, as the weights must be. */
    private static double slope(double x) {
        return Math.sqrt(2 * Math.PI) * StrictMath.exp(x * x / 2);
    }
}
