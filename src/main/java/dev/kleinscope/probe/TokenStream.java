package dev.kleinscope.probe;

import java.util.Arrays;
import java.util.Locale;

/** Tokens of one kind, as an analysis tells them apart. */
public enum TokenStream {
    /** All tokens of pictures: noise, then references. */
    IMAGE,
    /** All positions of the padded prompt. */
    TEXT,
    /** The prompt's own words. */
    PROMPT,
    /** The chat template around them. */
    TEMPLATE,
    /** What fills the prompt up. */
    PADDING,
    /** Every row there is. */
    ALL;

    /** As written to files. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** @throws InterventionException naming the streams there are */
    public static TokenStream of(String label) {
        return Arrays.stream(values()).filter(stream -> stream.label().equals(label)).findFirst()
                .orElseThrow(() -> new InterventionException("no stream is called \"" + label
                        + "\"; there are image, text, prompt, template, padding and all"));
    }
}
