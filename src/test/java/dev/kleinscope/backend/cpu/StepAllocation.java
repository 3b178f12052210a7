package dev.kleinscope.backend.cpu;

import com.sun.management.ThreadMXBean;
import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.ops.Weights;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.management.ManagementFactory;
import java.util.Random;

/**
 * Prints the least that a step of a block's operations allocated on the heap, once they are compiled: descriptions of tensors and rows, and
 * a few vectors that the compiler left as objects, up to 0.4 MiB from one process to the next. The step computes 2.6 MiB of values; with
 * kernels that are not compiled as they should be it allocates 6 MiB and more.
 */
final class StepAllocation {

    static final long MOST_BYTES = 768 << 10;
    private static final int MOST_STEPS = 3000;

    private StepAllocation() {
    }

    public static void main(String[] arguments) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        Linear layer = new Linear(Weights.of(DType.BF16, normal(384, 384)));
        Tensor norm = Weights.of(DType.BF16, normal(128));
        long least = Long.MAX_VALUE;
        try (CpuOps ops = new CpuOps(2); Frame _ = ops.frame()) {
            Tensor x = ops.input(normal(1, 195, 384));
            Tensor gate = ops.input(normal(1, 384));
            Tensor angles = ops.input(normal(195, 64));
            Rope rope = new Rope(angles, angles, Rope.Pairing.ADJACENT);
            for (int step = 0; step < MOST_STEPS && least > MOST_BYTES; step++) {
                long before = threads.getTotalThreadAllocatedBytes();
                try (Frame _ = ops.frame()) {
                    Tensor h = ops.linear(ops.layerNormModulate(x, gate, gate, 1e-6), layer);
                    Tensor q = ops.rmsNormRope(h, norm, 1e-6, rope);
                    Tensor attended = ops.attention(q, h, h, 3, 3, AttentionMask.NONE);
                    ops.gatedResidual(x, gate, ops.swiglu(attended, h), ops.alloc(x.shape()));
                    ops.rowMoments(x, h);
                }
                least = Math.min(least, threads.getTotalThreadAllocatedBytes() - before);
            }
        }
        System.out.println(least);
    }

    private static HostTensor normal(long... dims) {
        Random random = new Random(1);
        float[] values = new float[Math.toIntExact(new Shape(dims).elements())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("normal", values, dims);
    }
}
