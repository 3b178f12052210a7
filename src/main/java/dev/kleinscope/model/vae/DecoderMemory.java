package dev.kleinscope.model.vae;

import dev.kleinscope.tensor.DType;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What the decoder's activations take, followed allocation by allocation. Memory that a backend's pool keeps for reuse
 * counts as taken: each size as often as it was ever in use at once.
 */
public final class DecoderMemory {

    /** A pool rounds sizes up by an eighth at most. */
    private static final double ROUNDING = 1.125;
    /** Pictures alive at once in the middle attention: the stream, its norm, q, k, v, copies of k and v, and results. */
    private static final int ATTENTION_PICTURES = 10;

    private final DType type;
    private final List<Integer> widths;
    private final long outChannels;
    private final int residuals;
    private final Map<Long, long[]> counts = new TreeMap<>();

    private DecoderMemory(VaeConfig config, DType type) {
        this.type = type;
        widths = config.decoderChannels().reversed();
        outChannels = config.outChannels();
        residuals = config.layersPerBlock() + 1;
    }

    /** Bytes for {@link Decoder#middle} and the stages before {@code stages}, with all of them {@link Decoder#finish} too. @param pixels of the latents. @param type of pictures */
    public static long before(VaeConfig config, int stages, long pixels, DType type) {
        DecoderMemory memory = new DecoderMemory(config, type);
        long middle = pixels * memory.widths.getFirst();
        for (int i = 0; i < ATTENTION_PICTURES; i++) {
            memory.take(middle);
        }
        for (int i = 1; i < ATTENTION_PICTURES; i++) {
            memory.give(middle);
        }
        long outPixels = memory.stages(0, stages, pixels);
        if (stages == memory.widths.size()) {
            memory.finish(outPixels);
        }
        return memory.bytes();
    }

    /** Bytes for the stages from {@code stage} on and {@link Decoder#finish}. @param pixels of what the stage is given. @param type of pictures */
    public static long from(VaeConfig config, int stage, long pixels, DType type) {
        DecoderMemory memory = new DecoderMemory(config, type);
        memory.take(pixels * memory.width(stage - 1));
        long outPixels = memory.stages(stage, memory.widths.size(), pixels);
        memory.finish(outPixels);
        return memory.bytes();
    }

    private void finish(long pixels) {
        take(pixels * widths.getLast());
        take(pixels * outChannels);
    }

    private long stages(int from, int to, long pixels) {
        for (int stage = from; stage < to; stage++) {
            long in = width(stage - 1);
            long given = pixels * in;
            if (stage > 0) {
                pixels *= 4;
                take(pixels * in);
                take(pixels * in);
                give(pixels * in);
            }
            for (int i = 0; i < residuals; i++) {
                long x = i == 0 ? in : width(stage);
                residual(pixels * x, pixels * width(stage), x != width(stage));
                if (i > 0 || stage > 0) {
                    give(pixels * x);
                }
            }
            give(given);
        }
        return pixels;
    }

    private void residual(long in, long out, boolean shortcut) {
        take(in);
        take(out);
        give(in);
        take(out);
        give(out);
        take(out);
        give(out);
        if (shortcut) {
            take(out);
            give(out);
        }
    }

    private long width(int block) {
        return widths.get(Math.max(0, block));
    }

    private void take(long elements) {
        long[] count = counts.computeIfAbsent(elements, size -> new long[2]);
        count[1] = Math.max(count[1], ++count[0]);
    }

    private void give(long elements) {
        counts.get(elements)[0]--;
    }

    private long bytes() {
        double sum = 0;
        for (Map.Entry<Long, long[]> entry : counts.entrySet()) {
            sum += ROUNDING * type.bytes(entry.getKey()) * entry.getValue()[1];
        }
        return (long) sum;
    }
}
