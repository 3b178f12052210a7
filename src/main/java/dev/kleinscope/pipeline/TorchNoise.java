package dev.kleinscope.pipeline;

import dev.kleinscope.tensor.Shape;
import java.util.Arrays;

/**
 * The numbers of {@code torch.randn}, so that an image made elsewhere from a seed can be made again here.
 *
 * <p>An instance is a generator: like a {@code torch.Generator} that is seeded once, it goes on where the last call
 * stopped. The CPU generator's f32 values are those of torch's AVX2 build to the bit, the one that runs on x86-64
 * (torch elsewhere differs by a unit in the last place here and there); CUDA values agree to 2e-6, because the GPU's fast
 * sine is an approximation that its maker does not specify.
 *
 * <p>Source: PyTorch {@code DistributionTemplates.h} (CPU and CUDA), {@code DistributionsHelper.h}.
 */
public final class TorchNoise {

    /** Whose generator: torch's CPU one (Mersenne twister) or its CUDA one (Philox). */
    public enum Kind { TORCH_CPU, TORCH_CUDA }

    /** Element type that torch was asked for; the values are returned widened to f32. */
    public enum Type { F32, BF16 }

    /** Multiprocessors of an H100 SXM, which the CUDA generator's order is taken from unless told otherwise. */
    public static final int DEFAULT_MULTIPROCESSORS = 132;

    /** Most values in one call; torch splits larger fills into several launches. */
    private static final long MAX_VALUES = 1L << 28;

    sealed interface Generator permits TorchCpuNormal, TorchCudaNormal {
        void fill(Type type, float[] values);
    }

    private final Generator generator;

    /**
     * @param seed what {@code manual_seed} was given
     * @param multiprocessors of the GPU that is imitated ({@code multi_processor_count}); the CPU generator ignores it
     * @throws IllegalArgumentException if {@code multiprocessors} is below one
     */
    public TorchNoise(Kind kind, long seed, int multiprocessors) {
        if (multiprocessors < 1) {
            throw new IllegalArgumentException("a GPU has at least 1 multiprocessor, not " + multiprocessors);
        }
        generator = switch (kind) {
            case TORCH_CPU -> new TorchCpuNormal(seed);
            case TORCH_CUDA -> new TorchCudaNormal(seed, multiprocessors);
        };
    }

    /** {@code torch.randn(shape)} from a fresh generator, with {@link #DEFAULT_MULTIPROCESSORS}. */
    public static float[] randn(Kind kind, Type type, long seed, long... shape) {
        return new TorchNoise(kind, seed, DEFAULT_MULTIPROCESSORS).next(type, shape);
    }

    /**
     * The generator's next unit normals, row-major.
     *
     * @throws IllegalArgumentException if the shape holds more than 2^28 values
     */
    public float[] next(Type type, long... shape) {
        long count;
        try {
            count = new Shape(shape).elements();
        } catch (ArithmeticException e) {
            count = Long.MAX_VALUE;
        }
        if (count > MAX_VALUES) {
            throw new IllegalArgumentException("noise of shape " + Arrays.toString(shape) + " holds more than the "
                    + MAX_VALUES + " values that one call may draw; ask for a smaller image");
        }
        float[] values = new float[(int) count];
        if (count > 0) {
            generator.fill(type, values);
        }
        return values;
    }
}
