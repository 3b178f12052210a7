package dev.kleinscope.probe;

import java.util.List;

/**
 * A change made to activations while a model runs. Several are made in the order of their list, and observers see what is left.
 *
 * <p>{@code Intervention.at("transformer_blocks.4.img", new Change.Scale(0.5)).steps("0-1").tokens("0-63")}
 *
 * @param points names, aliases or globs of probe points
 * @param change what is done
 * @param steps denoising steps, from 0
 * @param pass which forward of a guided run; null for both
 * @param stream whose tokens
 * @param tokens which of the stream's tokens, from 0
 * @param channels which channels, from 0; heads one after the other
 */
public record Intervention(List<String> points, Change change, Ranges steps, Pass pass, TokenStream stream, Ranges tokens,
        Ranges channels) {

    /** Copies the points. */
    public Intervention {
        points = List.copyOf(points);
    }

    /** A change of everything at the points of a glob, or of several with spaces between. */
    public static Intervention at(String points, Change change) {
        return new Intervention(List.of(points.strip().split("\\s+")), change, Ranges.ALL, null, TokenStream.ALL, Ranges.ALL, Ranges.ALL);
    }

    /** Only at these steps, for instance {@code "0-1"}. */
    public Intervention steps(String only) {
        return new Intervention(points, change, Ranges.parse(only), pass, stream, tokens, channels);
    }

    /** Only in that forward. */
    public Intervention pass(Pass only) {
        return new Intervention(points, change, steps, only, stream, tokens, channels);
    }

    /** Only on tokens of that stream. */
    public Intervention stream(TokenStream only) {
        return new Intervention(points, change, steps, pass, only, tokens, channels);
    }

    /** Only on these of the stream's tokens, for instance {@code "0-63"}. */
    public Intervention tokens(String only) {
        return new Intervention(points, change, steps, pass, stream, Ranges.parse(only), channels);
    }

    /** Only on these channels. */
    public Intervention channels(String only) {
        return new Intervention(points, change, steps, pass, stream, tokens, Ranges.parse(only));
    }

    /** Whether anything is changed in that forward. */
    public boolean applies(int step, Pass in) {
        return steps.contains(step) && (pass == null || pass == in);
    }

    /** As a command line writes it. */
    @Override
    public String toString() {
        return String.join(" ", points) + ":" + change + (steps.all() ? "" : ",steps=" + steps) + (pass == null ? "" : ",pass=" + pass.label())
                + (stream == TokenStream.ALL ? "" : ",stream=" + stream.label()) + (tokens.all() ? "" : ",tokens=" + tokens)
                + (channels.all() ? "" : ",channels=" + channels);
    }
}
