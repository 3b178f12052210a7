package dev.kleinscope.tensor;

import java.util.Arrays;

/** Sizes of a tensor's dimensions, outermost first. {@code Shape.of()} is a scalar. */
public record Shape(long... dims) {

    /** Copies the sizes. @throws IllegalArgumentException if one is negative */
    public Shape {
        dims = dims.clone();
        for (long dim : dims) {
            if (dim < 0) {
                throw new IllegalArgumentException("negative dimension in " + Arrays.toString(dims));
            }
        }
    }

    /** The shape with these sizes. */
    public static Shape of(long... dims) {
        return new Shape(dims);
    }

    /** The sizes; a copy. */
    @Override
    public long[] dims() {
        return dims.clone();
    }

    /** How many dimensions there are. */
    public int rank() {
        return dims.length;
    }

    /** Size of one dimension; negative indices count from the end. */
    public long dim(int index) {
        return dims[index < 0 ? dims.length + index : index];
    }

    /** The product of the sizes. @throws ArithmeticException if it overflows a long */
    public long elements() {
        long product = 1;
        for (long dim : dims) {
            product = Math.multiplyExact(product, dim);
        }
        return product;
    }

    /** This shape with its last dimension replaced. */
    public Shape withLast(long size) {
        long[] copy = dims.clone();
        copy[copy.length - 1] = size;
        return new Shape(copy);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Shape shape && Arrays.equals(dims, shape.dims);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(dims);
    }

    @Override
    public String toString() {
        return Arrays.toString(dims);
    }
}
