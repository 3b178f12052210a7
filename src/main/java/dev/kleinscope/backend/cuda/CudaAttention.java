package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import java.util.Arrays;
import java.util.stream.Stream;

/**
 * Attention: by cuDNN in bf16 where every query sees every key of many, else by our kernels, which take any mask and grouped heads:
 * in bf16 with heads of up to 128 on tensor cores ({@code kernels/attention_bf16.cu}), in f32 or with heads of up to 512 without
 * ({@code kernels/attention.cu}).
 */
final class CudaAttention implements AutoCloseable {

    /** Multiplications from which on cuDNN is the faster; a plan of its own costs from 35 ms to a second. */
    private static final long LARGE = 1L << 28;

    /** {@code struct Counts} of {@code kernels/common.cuh}. */
    private static final int MOST_BATCH = 16;
    private static final double LOG2_E = 1 / Math.log(2);

    private static final int TILE = 64;
    private static final int THREADS = 256;
    private static final int[] HEAD_SIZES = {64, 128, 256, 512};

    private static final int BF16_MOST_CHANNELS = 128;
    private static final int BF16_NARROW_CHANNELS = 64;
    private static final int BF16_QUERIES = 64;
    private static final int BF16_THREADS = 128;
    private static final long WIDE_BYTES = 16;
    private static final long PAIR_BYTES = 4;

    private final Kernels kernels;
    private final CudnnAttention cudnn;
    private final ProductAttention large;

    CudaAttention(Cuda cuda, DeviceMemory memory, Kernels kernels, Products products, Precision precision) {
        this.kernels = kernels;
        large = new ProductAttention(memory, kernels, products);
        cudnn = precision == Precision.BF16 && cuda.cudnn() ? new CudnnAttention(cuda, memory) : null;
    }

    /** What computes it, for people; in f32 that is our kernel by choice. */
    String describe() {
        return cudnn != null ? cudnn.describe() : "our kernel";
    }

    /** A query that sees no key gets zeros. */
    void attend(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask, Tensor out) {
        boolean padded = mask.validKeys() != null && Arrays.stream(mask.validKeys()).anyMatch(valid -> valid < k.dim(1));
        boolean everything = !mask.causal() && !padded;
        boolean much = q.dim(0) * q.dim(1) * q.dim(2) * k.dim(1) >= LARGE;
        if (cudnn != null && much && everything && cudnn.attend(q, k, v, heads, kvHeads, out)) {
            return;
        }
        if (everything && q.dim(2) / heads > ProductAttention.LEAST_CHANNELS && large.attend(q, k, v, heads, kvHeads, out)) {
            return;
        }
        if (q.dim(0) > MOST_BATCH) {
            for (long from = 0; from < q.dim(0); from += MOST_BATCH) {
                long to = Math.min(from + MOST_BATCH, q.dim(0));
                long[] valid = mask.validKeys() == null ? null : Arrays.copyOfRange(mask.validKeys(), (int) from, (int) to);
                attend(q.slice(0, from, to), k.slice(0, from, to), v.slice(0, from, to), heads, kvHeads,
                        new AttentionMask(mask.causal(), valid), out.slice(0, from, to));
            }
            return;
        }
        // by value in the launch: a copy to the device would cost more than the attention
        int[] visible = new int[MOST_BATCH];
        for (int batch = 0; batch < q.dim(0); batch++) {
            visible[batch] = Math.toIntExact(padded ? Math.min(mask.validKeys()[batch], k.dim(1)) : k.dim(1));
        }
        attend(q, k, v, heads, kvHeads, mask.causal(), visible, out);
    }

    private void attend(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, boolean causal, int[] visible, Tensor out) {
        int headDim = Math.toIntExact(q.dim(2) / heads);
        double scale = 1 / Math.sqrt(headDim);
        if (headDim <= BF16_MOST_CHANNELS && Stream.of(q, k, v, out).allMatch(tensor -> tensor.dtype() == DType.BF16)) {
            boolean wide = Stream.of(q, k, v).allMatch(tensor -> lies(tensor, headDim, WIDE_BYTES));
            kernels.launch(headDim <= BF16_NARROW_CHANNELS ? "attention_bf16.heads_64" : "attention_bf16.heads_128",
                    Math.ceilDiv(q.dim(1), BF16_QUERIES) * heads, q.dim(0), 1, BF16_THREADS, View.of(q), View.of(k), View.of(v),
                    View.of(out), visible, (int) q.dim(1), (int) k.dim(1), headDim, (int) heads, (int) (heads / kvHeads),
                    causal ? 1 : 0, (float) (scale * LOG2_E), wide ? 1 : 0, lies(out, headDim, PAIR_BYTES) ? 1 : 0);
            return;
        }
        for (int size : HEAD_SIZES) {
            if (headDim <= size) {
                kernels.launch("attention.attention_" + size, Math.ceilDiv(q.dim(1), TILE), heads, q.dim(0), THREADS, View.of(q),
                        View.of(k), View.of(v), View.of(out), visible, (int) q.dim(1), (int) k.dim(1), headDim,
                        (int) (heads / kvHeads), causal ? 1 : 0, (float) scale);
                return;
            }
        }
        throw new IllegalArgumentException("attention: heads of at most 512 channels on cuda, found " + headDim + " in q " + q.name()
                + q.shape() + "; choose --backend cpu");
    }

    /** Whether each head of each row begins and ends on a multiple of so many bytes. */
    private static boolean lies(Tensor tensor, long headDim, long bytes) {
        DType type = tensor.dtype();
        return View.address(tensor) % bytes == 0 && type.bytes(tensor.stride(0)) % bytes == 0
                && type.bytes(tensor.stride(1)) % bytes == 0 && type.bytes(headDim) % bytes == 0;
    }

    @Override
    public void close() {
        if (cudnn != null) {
            cudnn.close();
        }
    }
}
