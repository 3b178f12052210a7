package dev.kleinscope.tensor;

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
        return java.util.Arrays.copyOfRange(values, from, from + width);
    }

    @Override
    public String toString() {
        return name + shape;
    }
}
