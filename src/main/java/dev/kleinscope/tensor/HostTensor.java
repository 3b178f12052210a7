package dev.kleinscope.tensor;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Values on the host, row-major f32: an array that any debugger expands.
 *
 * @param name where the values come from
 * @param shape their dimensions
 * @param values the elements; not copied
 */
public record HostTensor(String name, Shape shape, float[] values) {

    /** @throws IllegalArgumentException if the shape does not hold as many values as there are */
    public HostTensor {
        if (shape.elements() != values.length) {
            throw new IllegalArgumentException(name + ": shape " + shape + " does not hold " + values.length + " values");
        }
    }

    /** Values under a shape with these sizes. */
    public static HostTensor of(String name, float[] values, long... dims) {
        return new HostTensor(name, new Shape(dims), values);
    }

    /** L2 norm over all elements, accumulated in f64. */
    public double norm() {
        double sum = 0;
        for (float value : values) {
            sum += (double) value * value;
        }
        return Math.sqrt(sum);
    }

    /** One row of the view in which all dimensions but the last are flattened; a copy. */
    public float[] row(long index) {
        int width = Math.toIntExact(shape.dim(-1));
        int from = Math.toIntExact(index * width);
        return Arrays.copyOfRange(values, from, from + width);
    }

    /** Indices {@code from} (inclusive) to {@code to} (exclusive) of a dimension; a copy. */
    public HostTensor slice(int dimension, long from, long to) {
        return view().slice(dimension, from, to).toHost();
    }

    /** See {@link Tensor#stats}. */
    public TensorStats stats() {
        return view().stats();
    }

    /** See {@link Tensor#histogram()}. */
    public Histogram histogram() {
        return view().histogram();
    }

    /** See {@link Tensor#histogram(int, double, double)}. */
    public Histogram histogram(int bins, double from, double to) {
        return view().histogram(bins, from, to);
    }

    private Tensor view() {
        return Tensor.of(name, DType.F32, shape, new HostStorage(MemorySegment.ofArray(values)));
    }

    /** As {@link Tensor#toString}. */
    @Override
    public String toString() {
        return view().toString();
    }
}
