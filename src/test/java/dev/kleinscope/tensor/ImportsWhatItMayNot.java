package dev.kleinscope.tensor;

import dev.kleinscope.probe.Probes;

/** Breaks the package table on purpose. */
public final class ImportsWhatItMayNot {

    private ImportsWhatItMayNot() {}

    static boolean watched() {
        return Probes.NONE.wants("tensor");
    }
}
