package dev.kleinscope.pipeline.validate;

import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;

/**
 * One tensor of a case against what the model computed.
 *
 * @param name as in the case
 * @param difference how far it is, or null if it cannot be compared
 * @param problem why not, or null
 */
public record TensorCheck(String name, Difference difference, String problem) {

    static TensorCheck of(String name, HostTensor found, HostTensor expected) {
        if (!squeezed(found.shape()).equals(squeezed(expected.shape()))) {
            return new TensorCheck(name, null, "shape: expected " + expected.shape() + ", found " + found.shape());
        }
        return new TensorCheck(name, Difference.of(found.values(), expected.values()), null);
    }

    static TensorCheck missing(String name) {
        return new TensorCheck(name, null, "the model reports no such point");
    }

    /** Whether the values are within a relative L2 distance. */
    public boolean within(double tolerance) {
        return difference != null && difference.relativeL2() <= tolerance;
    }

    private static Shape squeezed(Shape shape) {
        return new Shape(java.util.Arrays.stream(shape.dims()).filter(dim -> dim != 1).toArray());
    }

    @Override
    public String toString() {
        return name + ": " + (difference == null ? problem : difference);
    }
}
