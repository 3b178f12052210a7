package dev.kleinscope.model.dit;

/** What a forward's activations take on a backend whose kinds of block share memory. */
public final class DitMemory {

    /** What a pool holds beyond what was ever in use at once. */
    private static final double SPARE = 1.125;

    private DitMemory() {
    }

    /**
     * Bytes in f32, at most.
     *
     * @param tokens of text and image together, over all batch elements
     */
    public static long bytes(DitConfig config, long tokens) {
        double hidden = config.hidden();
        double mlp = config.mlpHidden();
        // the stream before and after, its norm, q and k, q, k and v in one, the attention's result; and of one stream, the other's
        // being gone, the second norm, two results, the sum between, and the MLP
        double ofDouble = 9 * hidden + 4 * hidden + 3 * mlp;
        // the stream before and after, its norm, the projection in, q and k, what the projection out reads, and its result
        double ofSingle = 3 * hidden + 3 * hidden + 2 * mlp + 2 * hidden + hidden + mlp + hidden;
        double around = config.textDim() + 2.0 * config.inChannels() + 2.0 * config.headDim();
        // the attention's copies of k and v; and linear layers may round what they read to half its size
        double copies = 2 * hidden + (hidden + mlp) / 2;
        return (long) (SPARE * Float.BYTES * tokens * (Math.max(ofDouble, ofSingle) + around + copies));
    }
}
