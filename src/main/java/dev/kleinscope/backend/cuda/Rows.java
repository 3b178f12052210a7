package dev.kleinscope.backend.cuda;

import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A tensor's rows at two strides, as the fast kernels take them: {@code struct Rows} of {@code kernels/common.cuh}.
 *
 * @param address device address of the first element
 * @param batchStride elements between batch elements
 * @param rowStride elements between neighbouring rows of one
 */
record Rows(long address, long batchStride, long rowStride) {

    static final long BYTES = 24;

    /** Elements that a fast kernel moves at once. */
    static final int VECTOR = 8;

    /** Stands for an operand that a kernel does not read. */
    static final Rows ABSENT = new Rows(0, 0, 0);

    private static final long ALIGNMENT_BYTES = 16;

    /** Rows of the last but one dimension, batches of all before; null if those do not lie evenly. */
    static Rows of(Tensor tensor) {
        int rank = tensor.shape().rank();
        long batchStride = 0;
        long batches = 1;
        for (int d = rank - 3; d >= 0; d--) {
            if (tensor.dim(d) == 1) {
                continue;
            }
            if (batches == 1) {
                batchStride = tensor.stride(d);
            } else if (tensor.stride(d) != batches * batchStride) {
                return null;
            }
            batches *= tensor.dim(d);
        }
        return new Rows(View.address(tensor), batchStride, rank > 1 ? tensor.stride(-2) : 0);
    }

    /** One row, or one row for each element of the batch: [width] or [batch, width]. */
    static Rows vectors(Tensor tensor) {
        return new Rows(View.address(tensor), tensor.shape().rank() > 1 && tensor.dim(0) > 1 ? tensor.stride(0) : 0, 0);
    }

    /** Whether every row begins where a vector may be loaded. */
    boolean aligned(Tensor tensor) {
        long step = ALIGNMENT_BYTES / tensor.dtype().bytes(1);
        return address % ALIGNMENT_BYTES == 0 && batchStride % step == 0 && rowStride % step == 0;
    }

    /** Where the last row of bf16 ends, for as many as {@code like} has. */
    long end(Tensor like) {
        long tokens = RowOperations.tokens(like);
        long batch = like.rows() / Math.max(1, tokens);
        return address + Short.BYTES * ((batch - 1) * batchStride + (tokens - 1) * rowStride + like.dim(-1));
    }

    void write(MemorySegment target) {
        target.set(ValueLayout.JAVA_LONG, 0, address);
        target.set(ValueLayout.JAVA_LONG, 8, batchStride);
        target.set(ValueLayout.JAVA_LONG, 16, rowStride);
    }
}
