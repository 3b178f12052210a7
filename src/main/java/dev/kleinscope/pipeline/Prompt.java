package dev.kleinscope.pipeline;

/**
 * A prompt in its chat template, tokenized and padded.
 *
 * @param text as the user wrote it
 * @param ids padded on the right
 * @param groups what each position holds
 * @param truncated how many tokens did not fit
 */
public record Prompt(String text, int[] ids, TokenGroups groups, int truncated) {
}
