package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.Tensor;
import java.util.List;

/** Computes the products of linear layers, called by one thread at a time. */
interface Products extends AutoCloseable {

    /**
     * {@code out[..., N] = x[..., K] W[N, K]^T + bias} in f32.
     *
     * @param x f32; its rows may lie in wider ones
     * @param out f32, as many rows as {@code x}; the same
     */
    void linear(Tensor x, Linear layer, Tensor out);

    /** Layers of the same input; their results side by side in {@code out}. */
    default void linear(Tensor x, List<Linear> layers, Tensor out) {
        long from = 0;
        for (Linear layer : layers) {
            linear(x, layer, out.slice(-1, from, from + layer.out()));
            from += layer.out();
        }
    }

    /** What computes attention with the same products; null where that is our own kernel. */
    default OneDnnAttention attention() {
        return null;
    }

    /** What computes them, for people, as {@code by oneDNN}; empty for our own. */
    String describe();

    @Override
    void close();
}
