package dev.kleinscope.analysis;

import java.util.List;

/**
 * Where the energy (the sum of squares) of one stream lies, at one point in one forward.
 *
 * @param prompt which, from 1
 * @param seed of the initial noise
 * @param step denoising step, from 0
 * @param pass {@code "cond"}, or {@code "uncond"} for the pass without the prompt
 * @param point probe point, a diffusers module path
 * @param stream {@code "image"}, {@code "prompt"}, {@code "template"}, {@code "padding"}, or {@code "all"} of a point without tokens
 * @param tokens how many the stream has
 * @param width how many channels the point has
 * @param norm L2 norm
 * @param normWithoutTop the same without the channels that are listed
 * @param massive how many channels are massive; see {@link Massive}
 * @param normWithoutMassive L2 norm without those
 * @param channels the strongest, by energy summed over the stream's tokens
 * @param strongestTokens the strongest, by energy summed over channels
 */
public record ChannelCell(int prompt, long seed, int step, String pass, String point, String stream, int tokens, int width, double norm,
        double normWithoutTop, int massive, double normWithoutMassive, List<Part> channels, List<Part> strongestTokens) {

    /**
     * A channel or a token among the strongest.
     *
     * @param index of the channel, or the token's position in the padded prompt or among the picture's latent tokens
     * @param text a token's own text or place; empty for a channel
     * @param share of the stream's energy
     * @param timesMedian its root mean square over that of the median channel or token of the stream
     * @param massive whether it meets the criterion; tokens never do
     */
    public record Part(int index, String text, double share, double timesMedian, boolean massive) {
    }

    /** Share of the stream's energy in the channels that are listed. */
    public double share() {
        return channels.stream().mapToDouble(Part::share).sum();
    }
}
