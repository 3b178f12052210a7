package dev.kleinscope.analysis;

/**
 * What counts as a massive channel. Sun et al., "Massive Activations in Large Language Models" (2024), call an activation massive if its
 * magnitude is over 100 and about 1,000 times the median magnitude of its hidden state or more. Here both are asked of a channel's root
 * mean square over a stream's tokens, against the median channel's, because channels are summed where they are computed and no single
 * value is copied. A channel that meets this holds a value over the magnitude; a value that is massive at few of many tokens can be missed.
 *
 * @param magnitude that the root mean square must be over
 * @param ratio to the median channel's root mean square that it must reach
 */
public record Massive(double magnitude, double ratio) {

    /** As in the paper. */
    public static final Massive PAPER = new Massive(100, 1000);

    boolean is(double rms, double medianRms) {
        return rms > magnitude && rms >= ratio * medianRms;
    }

    /** In a sentence, for people. */
    public String describe() {
        return String.format(java.util.Locale.ROOT, "A channel counts as massive if its root mean square over the stream's tokens is over %s "
                + "and at least %s times the median channel's (after Sun et al., \"Massive Activations in Large Language Models\", 2024, who "
                + "ask it of single values).", number(magnitude), number(ratio));
    }

    private static String number(double value) {
        return value == Math.rint(value) ? Long.toString((long) value) : Double.toString(value);
    }
}
