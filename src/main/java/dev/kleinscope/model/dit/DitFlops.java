package dev.kleinscope.model.dit;

/** Floating-point operations of one forward; a multiplication and an addition count two. */
public final class DitFlops {

    private DitFlops() {
    }

    /** Of the linear layers, for one batch element. */
    public static double linears(DitConfig config, long imgTokens, long txtTokens) {
        double hidden = config.hidden();
        double mlp = config.mlpHidden();
        double tokens = imgTokens + txtTokens;
        double doubleBlock = tokens * (4 * hidden * hidden + 3 * mlp * hidden);
        double singleBlock = tokens * (hidden * (3 * hidden + 2 * mlp) + (hidden + mlp) * hidden);
        double embedders = imgTokens * hidden * config.inChannels() + txtTokens * hidden * config.textDim();
        double time = hidden * (config.timestepChannels() + hidden) * (config.guidanceEmbeds() ? 2 : 1);
        double modulation = hidden * hidden * (6 + 6 + 3 + 2);
        double out = imgTokens * hidden * config.outChannels();
        return 2 * (config.doubleBlocks() * doubleBlock + config.singleBlocks() * singleBlock + embedders + time + modulation + out);
    }

    /** Of the attention's two products, for one batch element. */
    public static double attention(DitConfig config, long imgTokens, long txtTokens) {
        double tokens = imgTokens + txtTokens;
        return 4.0 * (config.doubleBlocks() + config.singleBlocks()) * tokens * tokens * config.hidden();
    }
}
