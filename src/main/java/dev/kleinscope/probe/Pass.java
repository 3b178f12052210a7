package dev.kleinscope.probe;

/** Which forward of a denoising step: with the prompt, or without it (classifier-free guidance). */
public enum Pass {
    /** With the prompt. */
    COND,
    /** Without it, or with the negative one. */
    UNCOND;

    /** {@code "cond"} or {@code "uncond"}, as written to files. */
    public String label() {
        return this == COND ? "cond" : "uncond";
    }
}
