package dev.kleinscope;

import java.util.Locale;

/** What computes. */
public enum Backend {
    /** {@link #CUDA} where a GPU and its libraries can be used, else {@link #CPU}. */
    AUTO,
    /** All cores, through the Vector API and, where it can be used, oneDNN. */
    CPU,
    /** An NVIDIA GPU. */
    CUDA,
    /** Plain loops: the executable specification, for checking. */
    REFERENCE;

    /** Its name as options and records have it: lower case. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
