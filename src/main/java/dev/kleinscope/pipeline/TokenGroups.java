package dev.kleinscope.pipeline;

/**
 * What each position of a padded prompt holds: chat template, the prompt's own words, template again, padding.
 *
 * @param promptFrom first position of the prompt's own tokens
 * @param promptTo position after the last
 * @param valid position of the first padding token
 * @param tokens padded length
 */
public record TokenGroups(int promptFrom, int promptTo, int valid, int tokens) {

    public int promptTokens() {
        return promptTo - promptFrom;
    }

    public int templateTokens() {
        return valid - promptTokens();
    }

    public int paddingTokens() {
        return tokens - valid;
    }
}
