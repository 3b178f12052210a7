package dev.kleinscope.pipeline;

import dev.kleinscope.probe.Pass;
import java.util.EnumMap;
import java.util.Map;

/**
 * A prompt in its chat template, tokenized and padded.
 *
 * @param text as the user wrote it
 * @param ids padded on the right
 * @param groups what each position holds
 * @param truncated how many tokens did not fit
 */
public record Prompt(String text, int[] ids, TokenGroups groups, int truncated) {

    /**
     * What each position holds in each pass.
     *
     * @param prompt of the pass with it; null if nobody knows it
     * @param negative of the pass without; null if there is no such pass
     * @return null without a prompt
     */
    public static Map<Pass, TokenGroups> groups(Prompt prompt, Prompt negative) {
        if (prompt == null) {
            return null;
        }
        Map<Pass, TokenGroups> groups = new EnumMap<>(Pass.class);
        groups.put(Pass.COND, prompt.groups);
        groups.put(Pass.UNCOND, negative == null ? prompt.groups : negative.groups);
        return groups;
    }
}
