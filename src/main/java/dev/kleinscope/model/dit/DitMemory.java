package dev.kleinscope.model.dit;

/** What a forward's activations take on a backend that keeps the memory of each size for reuse. */
public final class DitMemory {

    /** A pool rounds sizes up by an eighth at most. */
    private static final double ROUNDING = 1.125;

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
        // both kinds of block: the stream, its norm, q, k, results and the block's output; the attention's copies of k and v
        double joint = 6 * hidden + 2 * hidden;
        // double blocks: q, k and v in one; for each stream two norms, two results, the sum between, and the MLP
        double ofDouble = 3 * hidden + 5 * hidden + 3 * mlp;
        // single blocks: the projection in, and what the projection out reads
        double ofSingle = 3 * hidden + 2 * mlp + hidden + mlp;
        double around = config.textDim() + 2.0 * config.inChannels() + 2.0 * config.headDim();
        // linear layers may round what they read to half its size
        double rounded = (hidden + mlp) / 2;
        return (long) (ROUNDING * Float.BYTES * tokens * (joint + ofDouble + ofSingle + around + rounded));
    }
}
