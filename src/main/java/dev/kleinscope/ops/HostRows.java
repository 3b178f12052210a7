package dev.kleinscope.ops;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Rows of tensors in host memory. */
public final class HostRows {

    private HostRows() {
    }

    /** Memory behind a tensor. @throws IllegalArgumentException if it is not on the host */
    public static MemorySegment segment(Tensor tensor) {
        if (tensor.storage() instanceof HostStorage host) {
            return host.segment();
        }
        throw new IllegalArgumentException(tensor.name() + tensor.shape() + " is on " + tensor.storage().device()
                + ", but this backend reads host memory; copy it with toHost() and input() first");
    }

    /** One row of the flattened view, widened or rounded to f32; a copy. */
    public static float[] read(Tensor tensor, long row) {
        float[] values = new float[Math.toIntExact(tensor.dim(-1))];
        tensor.storage().read(tensor.dtype(), tensor.rowOffset(row), values.length, values, 0);
        return values;
    }

    /** Replaces one row of an f32 tensor. */
    public static void write(Tensor tensor, long row, float[] values) {
        MemorySegment.copy(values, 0, segment(tensor), ValueLayout.JAVA_FLOAT, tensor.rowOffset(row) * Float.BYTES,
                values.length);
    }

    /** @throws IllegalArgumentException unless all tensors are f32 */
    public static void requireF32(String op, Tensor... tensors) {
        for (Tensor tensor : tensors) {
            if (tensor.dtype() != DType.F32) {
                throw new IllegalArgumentException(op + ": activations are F32 on the host, found " + tensor.name()
                        + tensor.shape() + " " + tensor.dtype());
            }
        }
    }
}
