package dev.kleinscope.backend.cuda;

import java.util.Locale;

/** Arithmetic of the CUDA backend. */
public enum Precision {
    /** Activations and weights in f32, products without TF32: for validation. */
    F32,
    /**
     * Activations [batch, tokens, ..] and matrices in bf16, sums in f32; vectors [batch, n] and whatever comes from the host
     * stay f32.
     */
    BF16;

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
