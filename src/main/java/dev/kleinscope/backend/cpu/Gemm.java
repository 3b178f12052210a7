package dev.kleinscope.backend.cpu;

import java.util.Locale;

/** What computes the products of linear layers and of attention. */
public enum Gemm {
    /** Our own kernel, through the Vector API. */
    JAVA,
    /** Intel's oneDNN, where it can be used. */
    ONEDNN;

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
