package dev.kleinscope.backend.cuda;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A tensor's rows as kernels take them: {@code struct View} of {@code kernels/common.cuh}.
 *
 * @param address device address of the first element
 * @param d1 size of the last but two dimension
 * @param d2 size of the last but one
 * @param s0 elements between neighbours along the dimension before those
 * @param s1 along d1
 * @param s2 along d2: from row to row
 * @param type number of the element type
 */
record View(long address, long d1, long d2, long s0, long s1, long s2, int type) {

    static final long BYTES = 56;

    /** Stands for an operand that a kernel does not read. */
    static final View ABSENT = new View(0, 1, 1, 0, 0, 0, 0);

    private static final int MOST_DIMENSIONS = 4;

    /** @throws IllegalArgumentException for a tensor on the host or of more than four dimensions */
    static View of(Tensor tensor) {
        Shape shape = tensor.shape();
        int rank = shape.rank();
        if (rank > MOST_DIMENSIONS) {
            throw new IllegalArgumentException("cuda: tensors have at most 4 dimensions, found " + tensor.name() + shape);
        }
        return new View(address(tensor), rank > 2 ? shape.dim(-3) : 1, rank > 1 ? shape.dim(-2) : 1,
                rank > 3 ? tensor.stride(0) : 0, rank > 2 ? tensor.stride(-3) : 0, rank > 1 ? tensor.stride(-2) : 0,
                typeNumber(tensor.dtype()));
    }

    /** Device address of a tensor's first element. */
    static long address(Tensor tensor) {
        if (tensor.storage() instanceof CudaStorage device) {
            return device.address() + tensor.dtype().bytes(tensor.offset());
        }
        throw new IllegalArgumentException(tensor.name() + tensor.shape() + " is on " + tensor.storage().device()
                + ", but the cuda backend reads device memory; copy it with input() or weight() first");
    }

    /** Number of an element type that kernels read. */
    static int typeNumber(DType dtype) {
        return switch (dtype) {
            case F32 -> 0;
            case BF16 -> 1;
            case F16 -> 2;
            case F64 -> 3;
            default -> throw new IllegalArgumentException("cuda: weights are F32, BF16, F16 or F64, found " + dtype);
        };
    }

    void write(MemorySegment target) {
        target.set(ValueLayout.JAVA_LONG, 0, address);
        target.set(ValueLayout.JAVA_LONG, 8, d1);
        target.set(ValueLayout.JAVA_LONG, 16, d2);
        target.set(ValueLayout.JAVA_LONG, 24, s0);
        target.set(ValueLayout.JAVA_LONG, 32, s1);
        target.set(ValueLayout.JAVA_LONG, 40, s2);
        target.set(ValueLayout.JAVA_INT, 48, type);
        target.set(ValueLayout.JAVA_INT, 52, 0);
    }
}
