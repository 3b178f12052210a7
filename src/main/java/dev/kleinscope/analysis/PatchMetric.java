package dev.kleinscope.analysis;

import java.util.Arrays;
import java.util.Locale;

/** How far a patched run moved from the run that was patched, at 0, towards the run that the patch came from, at 1. */
public enum PatchMetric {
    /** {@code 1 - |z - a| / |b - a|} of the final latents: 1 only where the whole picture is the other run's. */
    DISTANCE("final latents, 1 - distance to the source's"),
    /** {@code (z - b)(a - b) / |a - b|^2} of the final latents: the share of the way, whatever happened across it. */
    PROJECTION("final latents, part of the way to the source's"),
    /** By the cosine of the final latents with the source's. */
    COSINE("cosine of final latents with the source's"),
    /** By the logarithm of the norm of the final latents; not a number where the two runs' norms hardly differ. */
    NORM("norm of final latents"),
    /** As {@link #DISTANCE}, of pictures. */
    IMAGE("picture, 1 - distance to the source's"),
    /** By the CLIP score against the source's prompt less that against the patched run's. */
    CLIP("CLIP score, source's prompt less the other"),
    /** {@code |z - b| / |a - b|} of the final latents: how far it moved, in whatever direction. */
    MOVED("final latents, distance moved in any direction");

    private final String title;

    PatchMetric(String title) {
        this.title = title;
    }

    /** As written to files. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** For people. */
    public String title() {
        return title;
    }

    public boolean ofPictures() {
        return this == IMAGE || this == CLIP;
    }

    /** @throws IllegalArgumentException naming the metrics there are */
    public static PatchMetric of(String label) {
        return Arrays.stream(values()).filter(metric -> metric.label().equals(label)).findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no metric is called \"" + label + "\"; there are "
                        + String.join(", ", Arrays.stream(values()).map(PatchMetric::label).toList())));
    }
}
