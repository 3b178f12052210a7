package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.PromptTokenizer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.HostTensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * Runs prompts and finds the channels and tokens that carry each stream at each point and step.
 *
 * @param klein the model
 * @param prompts to run, each from every noise
 * @param denoising steps and guidance
 * @param maxTokens padded prompt length
 * @param top how many channels and tokens of a forward to keep
 * @param massive what counts as massive
 */
public record ChannelsProtocol(Klein klein, List<String> prompts, Denoising denoising, int maxTokens, int top, Massive massive) {

    /** Where measured runs are kept, so that an interrupted command can go on. */
    public interface Store {

        /** The cells of an earlier, interrupted command's run, or null. */
        List<ChannelCell> finished(int prompt, long seed);

        /** Keeps the cells of a measured run. */
        void keep(int prompt, long seed, List<ChannelCell> cells);
    }

    private record Encoded(Prompt prompt, HostTensor embeds) {
    }

    /**
     * @param noises initial noise by seed
     * @param points what to measure
     * @param store keeps measured runs
     * @param parameters everything else needed to repeat the run, recorded as it is
     * @param progress hears of each finished piece of work
     */
    public Channels run(SortedMap<Long, HostTensor> noises, Set<Point> points, Store store, Map<String, Object> parameters,
            Consumer<String> progress) {
        Encoded negative = denoising.guided() ? encode("", "encoded the empty prompt", progress) : null;
        List<Encoded> encoded = IntStream.range(0, prompts.size())
                .mapToObj(i -> encode(prompts.get(i), "encoded prompt " + (i + 1), progress)).toList();
        klein.dropTextEncoder();
        List<ChannelCell> cells = new ArrayList<>();
        for (int i = 0; i < encoded.size(); i++) {
            int prompt = i + 1;
            Encoded own = encoded.get(i);
            noises.forEach((seed, noise) -> {
                List<ChannelCell> measured = store.finished(prompt, seed);
                if (measured == null) {
                    measured = measure(prompt, own, negative, seed, noise, points, progress);
                    store.keep(prompt, seed, measured);
                } else {
                    IntStream.range(0, denoising.steps()).forEach(_ -> progress.accept("kept from the interrupted run"));
                }
                cells.addAll(measured);
            });
        }
        List<ChannelsSummary> summaries = ChannelsSummary.of(cells);
        List<String> blocks = points.stream().filter(point -> point.role() == Point.Role.BLOCK).map(Point::name).toList();
        List<String> shown = blocks.isEmpty() ? points.stream().map(Point::name).toList() : blocks;
        return new Channels(prompts, shown, List.copyOf(cells), summaries, massive, top, parameters, finding(summaries, shown),
                limits(noises.size()));
    }

    private List<ChannelCell> measure(int prompt, Encoded own, Encoded negative, long seed, HostTensor noise, Set<Point> points,
            Consumer<String> progress) {
        List<ChannelCell> cells = new ArrayList<>();
        Map<Pass, ChannelsObserver.Rows> rows = new EnumMap<>(Pass.class);
        rows.put(Pass.COND, rows(own.prompt, noise));
        rows.put(Pass.UNCOND, rows(negative == null ? own.prompt : negative.prompt, noise));
        try (ChannelsObserver observer = new ChannelsObserver(klein.readings(), prompt, seed, rows, points, top, massive, cells::add)) {
            klein.denoise(denoising, noise, own.embeds, negative == null ? null : negative.embeds, List.of(), observer,
                    (step, _) -> progress.accept("prompt " + prompt + ", seed " + seed + ", step " + (step + 1)));
        }
        return cells;
    }

    private Encoded encode(String text, String done, Consumer<String> progress) {
        Prompt prompt = klein.tokenizer().prompt(text, maxTokens);
        Encoded encoded = new Encoded(prompt, klein.encode(prompt));
        progress.accept(done);
        return encoded;
    }

    private ChannelsObserver.Rows rows(Prompt prompt, HostTensor noise) {
        PromptTokenizer tokenizer = klein.tokenizer();
        return new ChannelsObserver.Rows(prompt.groups(), IntStream.of(prompt.ids()).mapToObj(tokenizer::token).toList(),
                (int) noise.shape().dim(3));
    }

    /** How many times {@code progress} is called by a run over {@code noises} initial noises. */
    public long progressSteps(int noises) {
        return prompts.size() + (denoising.guided() ? 1 : 0) + (long) prompts.size() * noises * denoising.steps();
    }

    private String finding(List<ChannelsSummary> summaries, List<String> points) {
        List<ChannelsSummary> shown = summaries.stream().filter(each -> points.contains(each.point())).toList();
        ChannelsSummary most = shown.stream().filter(each -> Double.isFinite(each.share()))
                .max(Comparator.comparingDouble(ChannelsSummary::share)).orElse(null);
        if (most == null) {
            return "No stream has any energy that is a finite number.";
        }
        int kept = Math.min(top, most.width());
        List<ChannelsSummary.Recurring> always = most.channels().stream().filter(each -> each.forwards() == most.forwards()).toList();
        long massive = shown.stream().filter(each -> each.massive() > 0).count();
        return String.format(Locale.ROOT, "Energy is most concentrated in the %s stream at %s: the %d strongest of %d channels hold %.1f%% of it on "
                + "average (evenly spread it would be %.1f%%), and without them the norm is %.4g instead of %.4g. %s %s", most.stream(),
                most.point(), kept, most.width(), 100 * most.share(), 100.0 * kept / most.width(), most.normWithoutTop(), most.norm(),
                always.isEmpty() ? "No channel is among them in all of its " + most.forwards() + " forwards; " + most.channels().size() + " take turns."
                        : "In all of its " + most.forwards() + " forwards " + (always.size() == 1 ? "channel " : "channels ")
                                + String.join(", ", always.stream().map(each -> Integer.toString(each.index())).toList())
                                + (always.size() == 1 ? " is" : " are") + " among them.",
                massive == 0 ? "No channel counts as massive." : "Massive channels are found in " + massive + " of " + shown.size()
                        + " streams of the measured points.");
    }

    private List<String> limits(int seeds) {
        List<String> limits = new ArrayList<>(List.of(
                massive.describe() + " Such a channel holds a value over the magnitude; a value that is massive at a few of many tokens is "
                        + "diluted and can be missed: look at the tokens.",
                "Steps of one run follow from each other: being among the strongest in all of them is no independent repetition. Prompts "
                        + "and seeds are.",
                "What carries the norm need not carry the content: whether the model needs a channel takes an intervention.",
                "The streams of text also hold what the chat template and the padding put there, the same for every prompt."));
        if (prompts.size() * seeds < 2) {
            limits.addFirst("One prompt from one noise: whether other runs have the same channels is unknown.");
        }
        return List.copyOf(limits);
    }
}
