package dev.kleinscope.backend.cuda;

import java.util.Locale;

/** Where results are rounded to bf16. */
public enum Rounding {
    /** Once for each operation; vectors, latents and what comes from the host stay f32. */
    OURS,
    /** Wherever PyTorch running diffusers' and transformers' models in bf16 rounds: for whoever compares with such a run. */
    DIFFUSERS;

    /** What kernels call {@code steps}. */
    int steps() {
        return this == DIFFUSERS ? 1 : 0;
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
