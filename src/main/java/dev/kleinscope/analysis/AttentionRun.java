package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.PromptWords;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.tensor.HostTensor;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * A run whose attention is looked at.
 *
 * @param klein the model
 * @param prompt in its template
 * @param words of the prompt that maps are made of, each with a token
 * @param heads of each block
 * @param blocks names, in the order of computation
 * @param denoising steps and guidance
 * @param steps which to look at
 */
public record AttentionRun(Klein klein, Prompt prompt, List<PromptWords.Word> words, int heads, List<String> blocks, Denoising denoising,
        NavigableSet<Integer> steps) {

    /**
     * What was looked at, and what was drawn.
     *
     * @param attention the numbers
     * @param latents [1, channels, H/16, W/16]
     */
    public record Outcome(Attention attention, HostTensor latents) {
    }

    /**
     * Blocks that names, aliases and globs of points select: each that a selected point is in.
     *
     * @param globs null for all
     * @throws IllegalArgumentException if one selects no point, or only points outside the blocks
     */
    public static List<String> blocks(PointCatalog catalog, Collection<String> globs) {
        List<String> all = AttentionObserver.blocks(catalog.points().stream().map(Point::name).toList());
        if (globs == null) {
            return all;
        }
        for (String glob : globs) {
            Set<Point> points = catalog.select(List.of(glob));
            if (points.stream().noneMatch(point -> all.stream().anyMatch(block -> within(point, block)))) {
                throw new IllegalArgumentException("\"" + glob + "\" names no block; blocks are " + all.getFirst() + " to " + all.getLast());
            }
        }
        Set<Point> points = catalog.select(globs);
        return all.stream().filter(block -> points.stream().anyMatch(point -> within(point, block))).collect(Collectors.toList());
    }

    private static boolean within(Point point, String block) {
        return point.name().equals(block) || point.name().startsWith(block + ".");
    }

    /** How many times {@code progress} is called. */
    public long progressSteps() {
        return (denoising.guided() ? 2 : 1) + denoising.steps();
    }

    /**
     * Draws from {@code noise} and looks at the attention on the way.
     *
     * @param parameters everything needed to repeat the run
     * @param progress told of each finished part
     */
    public Outcome run(HostTensor noise, Map<String, Object> parameters, Consumer<String> progress) {
        int height = (int) noise.shape().dim(2);
        int width = (int) noise.shape().dim(3);
        Map<String, TokenSets> tokens = new LinkedHashMap<>();
        tokens.put(Pass.COND.label(), new TokenSets(prompt.groups(), words, height * width));
        HostTensor without = null;
        if (denoising.guided()) {
            Prompt negative = klein.tokenizer().prompt("", prompt.groups().tokens());
            tokens.put(Pass.UNCOND.label(), new TokenSets(negative.groups(), List.of(), height * width));
            without = klein.encode(negative);
            progress.accept("encoded the empty prompt");
        }
        HostTensor embeds = klein.encode(prompt);
        progress.accept("encoded the prompt");
        klein.dropTextEncoder();
        WordMaps maps = new WordMaps(words.size(), blocks.size(), heads, height, width);
        try (AttentionObserver observer = new AttentionObserver(klein.readings(), heads, tokens, blocks, steps, maps)) {
            HostTensor latents = klein.denoise(denoising, noise, embeds, without, List.of(), observer,
                    (step, _) -> progress.accept("step " + (step + 1)));
            return new Outcome(new Attention(prompt.text(), tokens, blocks, heads, List.copyOf(steps), List.copyOf(observer.cells()), maps,
                    parameters), latents);
        }
    }
}
