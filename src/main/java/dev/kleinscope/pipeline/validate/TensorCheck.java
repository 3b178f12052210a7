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
 * @param settled whether a rule of the case's kind let it pass already, whatever its relative L2 distance
 */
public record TensorCheck(String name, Difference difference, String problem, boolean settled) {

    static TensorCheck of(String name, HostTensor found, HostTensor expected) {
        if (!squeezed(found.shape()).equals(squeezed(expected.shape()))) {
            return failed(name, "shape: expected " + expected.shape() + ", found " + found.shape());
        }
        return new TensorCheck(name, Difference.of(found.values(), expected.values()), null, false);
    }

    /** A tensor that is held to another rule than a relative L2 distance, and keeps it. Shapes are alike. */
    static TensorCheck passed(String name, HostTensor found, HostTensor expected) {
        return new TensorCheck(name, Difference.of(found.values(), expected.values()), null, true);
    }

    static TensorCheck failed(String name, String problem) {
        return new TensorCheck(name, null, problem, false);
    }

    static TensorCheck missing(String name) {
        return failed(name, "the model reports no such point");
    }

    /** Whether the values are within a relative L2 distance, or keep to the rule they are held to instead. */
    public boolean within(double tolerance) {
        return settled || difference != null && difference.relativeL2() <= tolerance;
    }

    private static Shape squeezed(Shape shape) {
        return new Shape(java.util.Arrays.stream(shape.dims()).filter(dim -> dim != 1).toArray());
    }

    @Override
    public String toString() {
        return name + ": " + (difference == null ? problem : difference);
    }
}
