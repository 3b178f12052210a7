package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.Tensor;

/** Computes the products of linear layers, called by one thread at a time. */
interface Products extends AutoCloseable {

    /**
     * {@code out[..., N] = x[..., K] W[N, K]^T + bias} in f32.
     *
     * @param x f32; its rows may lie in wider ones
     * @param out f32, as many rows as {@code x}; the same
     */
    void linear(Tensor x, Linear layer, Tensor out);

    /** What computes them, for people; empty for our own. */
    String describe();

    @Override
    void close();
}
