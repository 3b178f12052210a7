package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.NativeLibs;
import dev.kleinscope.tensor.Tensor;

/**
 * Attention: by cuDNN in bf16 without a mask, else by {@code kernels/attention.cu}, which takes any mask, grouped heads and heads of
 * up to 512.
 */
final class CudaAttention implements AutoCloseable {

    private static final int TILE = 64;
    private static final int THREADS = 256;
    private static final int[] HEAD_SIZES = {64, 128, 256, 512};

    private final Kernels kernels;
    private final CudnnAttention cudnn;
    private final ProductAttention large;

    CudaAttention(Cuda cuda, DeviceMemory memory, Kernels kernels, Products products, Precision precision) {
        this.kernels = kernels;
        large = new ProductAttention(memory, kernels, products);
        cudnn = precision == Precision.BF16 && NativeLibs.isAvailable("cudnn") ? new CudnnAttention(cuda, memory) : null;
    }

    /** What computes it, for people; in f32 that is our kernel by choice. */
    String describe() {
        return cudnn != null ? cudnn.describe() : "our kernel" + (NativeLibs.isAvailable("cudnn") ? "" : ", without cuDNN");
    }

    /** @param valid device address of the number of keys of each batch element, or 0 for all */
    void attend(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, boolean causal, long valid, Tensor out) {
        if (cudnn != null && !causal && valid == 0 && cudnn.attend(q, k, v, heads, kvHeads, out)) {
            return;
        }
        int headDim = Math.toIntExact(q.dim(2) / heads);
        if (headDim > ProductAttention.LEAST_CHANNELS && !causal && valid == 0 && large.attend(q, k, v, heads, kvHeads, out)) {
            return;
        }
        for (int size : HEAD_SIZES) {
            if (headDim <= size) {
                kernels.launch("attention.attention_" + size, Math.ceilDiv(q.dim(1), TILE), heads, q.dim(0), THREADS, View.of(q),
                        View.of(k), View.of(v), View.of(out), valid, (int) q.dim(1), (int) k.dim(1), headDim,
                        (int) (heads / kvHeads), causal ? 1 : 0, (float) (1 / Math.sqrt(headDim)));
                return;
            }
        }
        throw new IllegalArgumentException("attention: heads of at most 512 channels on cuda, found " + headDim + " in q " + q.name()
                + q.shape() + "; choose --backend cpu");
    }

    @Override
    public void close() {
        if (cudnn != null) {
            cudnn.close();
        }
    }
}
