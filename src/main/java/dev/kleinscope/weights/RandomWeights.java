package dev.kleinscope.weights;

import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.DrawnStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.util.HashMap;
import java.util.Map;

/**
 * Weights of a model that was never trained: matrices and kernels are normal with variance 1 / fan-in, embeddings with variance 1,
 * the weights and variances of norms are 1, all else is 0. Values depend on the seed, the tensor's name and their place alone.
 *
 * <p>A value is one of 65536 equally likely quantiles of the normal distribution, between -4.2 and 4.2 deviations and with
 * variance 1 before it is rounded to bf16: no tails, but four values from one random number. For one thread.
 */
final class RandomWeights {

    private static final int QUANTILES = DrawnStorage.TABLE;
    private static final double[] NORMAL = quantiles();

    private final long seed;
    /** By deviation: layers of a kind share one. */
    private final Map<Double, short[]> tables = new HashMap<>();

    RandomWeights(long seed) {
        this.seed = seed;
    }

    /** The values of a tensor. @param declaration BF16, or integers that are to be 0 */
    DrawnStorage of(Declaration declaration) {
        String name = declaration.name();
        Shape shape = declaration.shape();
        if (declaration.dtype() == DType.BF16 && shape.rank() >= 2) {
            double fanIn = (double) shape.elements() / shape.dim(0);
            double deviation = name.endsWith("embed_tokens.weight") ? 1 : 1 / Math.sqrt(fanIn);
            return DrawnStorage.of(tables.computeIfAbsent(deviation, RandomWeights::scaled), DrawnStorage.key(seed, name));
        }
        boolean one = declaration.dtype() == DType.BF16 && (name.endsWith(".weight") || name.endsWith(".running_var"));
        return DrawnStorage.constant(one ? BFloat16.fromFloat(1) : 0);
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
