package dev.kleinscope.model.dit;

import dev.kleinscope.tensor.Tensor;

/**
 * How the timestep bends a sub-block: {@code x + gate * f((1 + scale) * LayerNorm(x) + shift)}.
 *
 * @param shift [batch, hidden]
 * @param scale [batch, hidden]
 * @param gate [batch, hidden]
 */
record Modulation(Tensor shift, Tensor scale, Tensor gate) {

    /** Vectors {@code 3 * index} to {@code 3 * index + 2} of {@code mod} [batch, n * hidden]. */
    static Modulation of(Tensor mod, int index, long hidden) {
        long from = 3 * index * hidden;
        return new Modulation(mod.slice(1, from, from + hidden), mod.slice(1, from + hidden, from + 2 * hidden),
                mod.slice(1, from + 2 * hidden, from + 3 * hidden));
    }
}
