package dev.kleinscope.pipeline.validate;

import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One tensor of a case against what the model computed.
 *
 * @param name as in the case
 * @param difference how far it is, or null if it cannot be compared
 * @param problem why not, or null
 * @param settled whether a rule of the case's kind let it pass already, whatever its relative L2 distance
 * @param streams the same by token stream, for rows of text and image tokens together; else empty
 */
public record TensorCheck(String name, Difference difference, String problem, boolean settled, Map<String, Difference> streams) {

    private TensorCheck(String name, Difference difference, String problem, boolean settled) {
        this(name, difference, problem, settled, Map.of());
    }

    static TensorCheck of(String name, HostTensor found, HostTensor expected) {
        if (!squeezed(found.shape()).equals(squeezed(expected.shape()))) {
            return failed(name, "shape: expected " + expected.shape() + ", found " + found.shape());
        }
        return new TensorCheck(name, Difference.of(found.values(), expected.values()), null, false);
    }

    /** As {@link #of}, of [batch, tokens, channels] with the text tokens first: also by stream. */
    static TensorCheck ofStreams(String name, HostTensor found, HostTensor expected, long txtTokens) {
        TensorCheck check = of(name, found, expected);
        if (check.difference() == null || found.shape().rank() != 3 || txtTokens > found.shape().dim(1)) {
            return check;
        }
        long tokens = found.shape().dim(1);
        Map<String, Difference> streams = new LinkedHashMap<>();
        streams.put("txt", Difference.of(rows(found, found.shape(), 0, txtTokens), rows(expected, found.shape(), 0, txtTokens)));
        streams.put("img", Difference.of(rows(found, found.shape(), txtTokens, tokens), rows(expected, found.shape(), txtTokens, tokens)));
        return new TensorCheck(name, check.difference(), null, false, streams);
    }

    private static float[] rows(HostTensor tensor, Shape shape, long from, long to) {
        int batch = (int) shape.dim(0);
        int stride = (int) (shape.dim(1) * shape.dim(2));
        int begin = (int) (from * shape.dim(2));
        int length = (int) ((to - from) * shape.dim(2));
        float[] rows = new float[batch * length];
        for (int b = 0; b < batch; b++) {
            System.arraycopy(tensor.values(), b * stride + begin, rows, b * length, length);
        }
        return rows;
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
