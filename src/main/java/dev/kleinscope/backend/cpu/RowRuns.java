package dev.kleinscope.backend.cpu;

import dev.kleinscope.tensor.Tensor;

/**
 * The rows of a tensor, taken in runs that lie at equal distances.
 *
 * @param length rows of a run
 * @param stride elements from one row of a run to the next
 */
record RowRuns(long length, long stride) {

    static RowRuns of(Tensor tensor) {
        long length = 1;
        long stride = tensor.dim(-1);
        for (int i = tensor.shape().rank() - 2; i >= 0; i--) {
            if (tensor.dim(i) == 1) {
                continue;
            }
            if (length == 1) {
                stride = tensor.stride(i);
            } else if (tensor.stride(i) != length * stride) {
                break;
            }
            length *= tensor.dim(i);
        }
        return new RowRuns(length, stride);
    }
}
