package dev.kleinscope.ops;

import dev.kleinscope.tensor.Tensor;

/**
 * Rotary position embedding: a rotation of pairs of a head's channels.
 *
 * @param cos [tokens, headDim / 2] f32, one angle a pair
 * @param sin [tokens, headDim / 2] f32
 * @param pairing which channels form pair i
 */
public record Rope(Tensor cos, Tensor sin, Pairing pairing) {

    /** Which two channels of a head rotate together. */
    public enum Pairing {
        /** Channels 2i and 2i + 1: FLUX.2. */
        ADJACENT,
        /** Channels i and i + headDim / 2: Qwen3. */
        HALVES
    }

    /** The rotation of tokens {@code from} to {@code to}. */
    public Rope tokens(long from, long to) {
        return new Rope(cos.slice(0, from, to), sin.slice(0, from, to), pairing);
    }
}
