package dev.kleinscope.pipeline;

import dev.kleinscope.model.vae.DecoderMemory;
import dev.kleinscope.model.vae.VaeConfig;
import dev.kleinscope.tensor.DType;
import java.util.ArrayList;
import java.util.List;

/**
 * How a decoding is divided so as to fit in memory: some stages of the decoder on the whole picture, the others window by window.
 *
 * @param stage the first that runs in windows; the number of blocks if none does
 * @param margin pixels, of what that stage is given, around a tile that its result depends on
 * @param tilesDown tiles from top to bottom
 * @param tilesAcross tiles from left to right
 * @param bytes estimated working memory, without the weights
 */
public record TilePlan(int stage, int margin, int tilesDown, int tilesAcross, long bytes) {

    /** A tile is at least this many times its margin wide, lest margins cost more than half of the work. */
    private static final int MARGINS_PER_TILE = 4;

    /**
     * One tile along one side.
     *
     * @param from first pixel that the tile contributes
     * @param to after its last
     * @param windowFrom first pixel that it is computed from
     * @param windowTo after its last; windows are all of one size, so that they use the same memory
     */
    record Span(int from, int to, int windowFrom, int windowTo) {
    }

    /** Whether there is but one tile. */
    public boolean whole() {
        return tilesDown == 1 && tilesAcross == 1;
    }

    /**
     * The plan with the fewest stages in windows, and of those the one with the largest tiles.
     *
     * @param height of the latents
     * @param width of the latents
     * @param type of pictures in the decoder
     * @param budgetBytes working memory it may take
     * @throws IllegalArgumentException if no plan fits; names the least that would do
     */
    static TilePlan of(VaeConfig config, int height, int width, DType type, long budgetBytes) {
        TilePlan plan = within(config, height, width, type, budgetBytes);
        if (plan.bytes > budgetBytes) {
            throw new IllegalArgumentException("decoding " + width * config.scale() + "x" + height * config.scale() + " pixels takes at least "
                    + plan.bytes + " bytes of working memory, but only " + budgetBytes + " are allowed; allow more, or make a smaller picture");
        }
        return plan;
    }

    /** The least working memory that a decoding takes. */
    static long leastBytes(VaeConfig config, int height, int width, DType type) {
        return within(config, height, width, type, 0).bytes;
    }

    /** The plan for a budget; if none fits, the one that takes the least. */
    private static TilePlan within(VaeConfig config, int height, int width, DType type, long budgetBytes) {
        long scale = config.scale();
        long pictureBytes = height * scale * width * scale * config.outChannels() * Float.BYTES;
        int blocks = config.blocks();
        long whole = DecoderMemory.before(config, blocks, (long) height * width, type) + pictureBytes;
        TilePlan least = new TilePlan(blocks, 0, 1, 1, whole);
        if (whole <= budgetBytes) {
            return least;
        }
        for (int stage = blocks - 1; stage >= 1; stage--) {
            int rows = height << (stage - 1);
            int columns = width << (stage - 1);
            int margin = margin(config, stage);
            long before = DecoderMemory.before(config, stage, (long) height * width, type) + pictureBytes;
            for (int tiles = 2; tiles <= Math.ceilDiv(Math.max(rows, columns), MARGINS_PER_TILE * margin); tiles++) {
                int side = Math.ceilDiv(Math.max(rows, columns), tiles);
                int down = Math.ceilDiv(rows, side);
                int across = Math.ceilDiv(columns, side);
                long pixels = (long) window(rows, down, margin) * window(columns, across, margin);
                long bytes = before + DecoderMemory.from(config, stage, pixels, type);
                TilePlan plan = new TilePlan(stage, margin, down, across, bytes);
                if (bytes <= budgetBytes) {
                    return plan;
                }
                least = bytes < least.bytes ? plan : least;
            }
        }
        return least;
    }

    /** How far, in pixels of what a stage is given, a pixel of the picture sees: a 3x3 convolution sees one further. */
    static int margin(VaeConfig config, int stage) {
        int sight = 1;
        for (int block = config.blocks() - 1; block >= stage; block--) {
            sight += 2 * (config.layersPerBlock() + 1) + 1;
            sight = Math.ceilDiv(sight, 2);
        }
        return sight;
    }

    static List<Span> spans(int length, int tiles, int margin) {
        int window = window(length, tiles, margin);
        List<Span> spans = new ArrayList<>();
        for (int i = 0; i < tiles; i++) {
            int from = (int) ((long) i * length / tiles);
            int windowFrom = Math.clamp(from - margin, 0, length - window);
            spans.add(new Span(from, (int) ((i + 1L) * length / tiles), windowFrom, windowFrom + window));
        }
        return spans;
    }

    private static int window(int length, int tiles, int margin) {
        return tiles == 1 ? length : Math.min(length, Math.ceilDiv(length, tiles) + 2 * margin);
    }
}
