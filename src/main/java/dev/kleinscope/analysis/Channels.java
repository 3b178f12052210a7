package dev.kleinscope.analysis;

import java.util.List;
import java.util.Map;

/**
 * What carries the energy of a model's streams.
 *
 * @param prompts in order; a cell's {@code prompt} counts them from 1
 * @param blocks points that are outputs of blocks, in the order of computation; all measured points if none is
 * @param cells every forward of every point and stream
 * @param summaries the same over forwards
 * @param massive what counts as massive
 * @param top how many channels and tokens of a forward were kept
 * @param parameters everything else needed to repeat the run, as it was given
 * @param finding what was seen, in a sentence
 * @param limits what cannot be concluded
 */
public record Channels(List<String> prompts, List<String> blocks, List<ChannelCell> cells, List<ChannelsSummary> summaries, Massive massive,
        int top, Map<String, Object> parameters, String finding, List<String> limits) {
}
