package dev.kleinscope.backend.cuda;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;

/**
 * Attention without a mask in bf16 for heads too large for cuDNN: {@code q k^T} by cuBLASLt in f32, the softmax in f32 with its
 * probabilities rounded to bf16, and the product with v, so many queries at a time as the scores have room for.
 */
final class ProductAttention {

    /** Heads of more channels than this. */
    static final int LEAST_CHANNELS = 128;

    private static final long SCORE_BYTES = 256L << 20;
    private static final long ROW_ELEMENTS = 8;
    private static final int SOFTMAX_THREADS = 512;
    private static final int TILE = 32;
    private static final int TRANSPOSE_THREADS = 256;
    private static final int BF16 = View.typeNumber(DType.BF16);
    private static final int F32 = View.typeNumber(DType.F32);

    private final DeviceMemory memory;
    private final Kernels kernels;
    private final Products products;

    ProductAttention(DeviceMemory memory, Kernels kernels, Products products) {
        this.memory = memory;
        this.kernels = kernels;
        this.products = products;
    }

    /** Queues it; false if an operand is not bf16 or cuBLASLt has no algorithm. */
    boolean attend(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, Tensor out) {
        if (q.dtype() != DType.BF16 || k.dtype() != DType.BF16 || v.dtype() != DType.BF16 || k.dim(1) == 0) {
            return false;
        }
        long keys = k.dim(1);
        long headDim = q.dim(2) / heads;
        long row = Math.ceilDiv(keys, ROW_ELEMENTS) * ROW_ELEMENTS;
        long queries = Math.clamp(SCORE_BYTES / (row * Float.BYTES), 1, Math.max(1, q.dim(1)));
        DeviceMemory.Block scores = memory.take(queries * row * Float.BYTES, "the scores of an attention of " + q.shape());
        DeviceMemory.Block values = memory.take(DType.BF16.bytes(headDim * row), "the values of an attention of " + q.shape());
        try {
            for (long batch = 0; batch < q.dim(0); batch++) {
                for (long head = 0; head < heads; head++) {
                    long kvHead = head / (heads / kvHeads);
                    if (!head(at(q, batch, head * headDim), at(k, batch, kvHead * headDim), at(v, batch, kvHead * headDim),
                            at(out, batch, head * headDim), q, k, v, out, headDim, row, queries, scores.address(),
                            values.address())) {
                        return false;
                    }
                }
            }
            return true;
        } finally {
            memory.give(values);
            memory.give(scores);
        }
    }

    private boolean head(long from, long k, long v, long to, Tensor qs, Tensor ks, Tensor vs, Tensor out, long headDim, long row,
            long most, long scores, long values) {
        long keys = ks.dim(1);
        kernels.launch("softmax.transpose", Math.ceilDiv(headDim, TILE), Math.ceilDiv(keys, TILE), 1, TRANSPOSE_THREADS, v, values,
                (int) keys, (int) headDim, vs.stride(1), row);
        for (long first = 0; first < qs.dim(1); first += most) {
            long count = Math.min(most, qs.dim(1) - first);
            if (!products.multiply(from + DType.BF16.bytes(first * qs.stride(1)), BF16, qs.stride(1), k, BF16, ks.stride(1), scores,
                    F32, row, count, headDim, keys)) {
                return false;
            }
            kernels.launch("softmax.softmax_rows", count, 1, 1, SOFTMAX_THREADS, scores, (int) keys, row,
                    (float) (1 / Math.sqrt(headDim)));
            // a row of probabilities takes half of the row of scores that it replaced
            if (!products.multiply(scores, BF16, 2 * row, values, BF16, row, to + out.dtype().bytes(first * out.stride(1)),
                    View.typeNumber(out.dtype()), out.stride(1), count, keys, headDim)) {
                return false;
            }
        }
        return true;
    }

    private static long at(Tensor tensor, long batch, long channel) {
        return View.address(tensor) + tensor.dtype().bytes(batch * tensor.stride(0) + channel);
    }
}
