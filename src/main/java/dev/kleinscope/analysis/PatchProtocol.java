package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.ClipScorer;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.pipeline.intervene.Capture;
import dev.kleinscope.pipeline.intervene.Interventions;
import dev.kleinscope.probe.ActivationSource;
import dev.kleinscope.probe.Change;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.TokenStream;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SortedMap;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.commons.statistics.descriptive.Mean;
import org.apache.commons.statistics.descriptive.StandardDeviation;

/**
 * Activation patching: the second prompt is run again and again, each time with one point's activation replaced by that of the first
 * prompt, from the same noise. As many points of the first run are kept at a time as fit into a budget.
 *
 * @param klein the model
 * @param from prompt whose activations are taken; null where {@code dump} holds them
 * @param dump activations of a run from the same noise, {@code proj_out} of every step among them; or null
 * @param to prompt of the run that they are put into
 * @param nullPrompt another prompt to take activations from, for comparison; or null
 * @param denoising steps and guidance
 * @param maxTokens padded prompt length
 * @param points to patch
 * @param streams to patch, one at a time, where a point has them
 * @param perStep whether steps are patched one at a time, instead of all at once
 * @param metrics in order of importance
 * @param clip scores pictures; null unless a metric asks for it
 * @param budgetBytes of activations kept at a time, at least those of one point
 */
public record PatchProtocol(Klein klein, String from, ActivationSource dump, String to, String nullPrompt, Denoising denoising,
        int maxTokens, Set<Point> points, List<TokenStream> streams, boolean perStep, List<PatchMetric> metrics, ClipScorer clip,
        long budgetBytes) {

    /** Memory for activations where nobody says. */
    public static final long DEFAULT_BUDGET_BYTES = 1L << 30;

    /** Where finished runs are kept, so that an interrupted command can go on. */
    public interface Store {

        /** The run of an earlier, interrupted command, or null. */
        Patching.Cell finished(String point, String stream, Integer step, long seed, String source);

        void keep(Patching.Cell cell);
    }

    /** What is patched in one run. */
    private record Place(Point point, TokenStream stream, Integer step) {
    }

    private record Encoded(HostTensor embeds, Map<Pass, TokenGroups> groups) {
    }

    /** What is patched, in order: points, their streams, and steps if these are told apart. */
    private List<Place> places() {
        List<Place> places = new ArrayList<>();
        for (Point point : points) {
            List<TokenStream> own = point.rows() == Point.Rows.NONE ? List.of(TokenStream.ALL)
                    : streams.stream().filter(stream -> has(point.rows(), stream)).toList();
            for (TokenStream stream : own) {
                if (perStep) {
                    IntStream.range(0, denoising.steps()).forEach(step -> places.add(new Place(point, stream, step)));
                } else {
                    places.add(new Place(point, stream, null));
                }
            }
        }
        return places;
    }

    private static boolean has(Point.Rows rows, TokenStream stream) {
        return stream == TokenStream.ALL || rows == Point.Rows.JOINT || (stream == TokenStream.IMAGE) == (rows == Point.Rows.IMG);
    }

    /** How many times {@code progress} is called by a whole run, but for captures beyond the first. */
    public long progressSteps(int seeds) {
        long sources = nullPrompt == null ? 1 : 2;
        return (long) seeds * denoising.steps() * (1 + sources * (1 + places().size()));
    }

    /**
     * @param noises initial noise by seed; all runs of a seed start from the same
     * @param parameters everything else needed to repeat the run, recorded as it is
     * @param progress hears of each finished step
     */
    public Patching run(SortedMap<Long, HostTensor> noises, Store store, Map<String, Object> parameters, Consumer<String> progress) {
        Prompt negative = denoising.guided() ? klein.tokenizer().prompt("", maxTokens) : null;
        HostTensor negativeEmbeds = negative == null ? null : klein.encode(negative);
        Map<String, Encoded> prompts = new LinkedHashMap<>();
        for (String prompt : new String[] {from, nullPrompt, to}) {
            if (prompt != null) {
                Prompt encoded = klein.tokenizer().prompt(prompt, maxTokens);
                prompts.put(prompt, new Encoded(klein.encode(encoded), Prompt.groups(encoded, negative)));
            }
        }
        klein.dropTextEncoder();
        List<Patching.Cell> cells = new ArrayList<>();
        noises.forEach((seed, noise) -> cells.addAll(new Seed(seed, noise, prompts, negativeEmbeds, store, progress).run()));
        List<Patching.Effect> effects = effects(cells);
        return new Patching(from == null ? dump.describe() : from, to, nullPrompt, metrics, points.stream().map(Point::name).toList(),
                cells.stream().map(Patching.Cell::stream).distinct().toList(), perStep, cells, effects, parameters, finding(effects),
                limits(noises.size(), prompts));
    }

    /** All runs from one noise. */
    private final class Seed {

        private final long seed;
        private final HostTensor noise;
        private final Map<String, Encoded> prompts;
        private final HostTensor negativeEmbeds;
        private final Store store;
        private final Consumer<String> progress;

        /** Bytes that a point's activations of a whole run take. */
        private final Map<String, Long> sizes = new LinkedHashMap<>();

        Seed(long seed, HostTensor noise, Map<String, Encoded> prompts, HostTensor negativeEmbeds, Store store, Consumer<String> progress) {
            this.seed = seed;
            this.noise = noise;
            this.prompts = prompts;
            this.negativeEmbeds = negativeEmbeds;
            this.store = store;
            this.progress = progress;
        }

        private HostTensor denoise(String prompt, Interventions changes, Observer observer, String what) {
            return klein.denoise(denoising, noise, prompts.get(prompt).embeds, negativeEmbeds, List.of(), changes, observer,
                    (step, _) -> progress.accept("seed " + seed + ", " + what + ", step " + (step + 1)));
        }

        List<Patching.Cell> run() {
            List<Place> places = places();
            List<Patching.Cell> cells = new ArrayList<>();
            PatchScore score = null;
            for (String source : nullPrompt == null ? List.of(Patching.FROM) : List.of(Patching.FROM, Patching.NULL)) {
                List<Place> open = new ArrayList<>();
                for (Place place : places) {
                    Patching.Cell finished = store.finished(place.point.name(), place.stream.label(), place.step, seed, source);
                    if (finished == null) {
                        open.add(place);
                    } else {
                        cells.add(finished);
                        IntStream.range(0, denoising.steps()).forEach(_ -> progress.accept("kept from the interrupted run"));
                    }
                }
                if (open.isEmpty()) {
                    continue;
                }
                score = score == null ? score() : score;
                cells.addAll(source.equals(Patching.FROM) && dump != null ? patch(open, dump, source, score) : captured(open, source, score));
            }
            return cells;
        }

        /** The two runs that every other lies between. */
        private PatchScore score() {
            HostTensor b = denoise(to, Interventions.NONE, sizing(), "the run to patch");
            // whatever came before, the last activation of each step makes the picture
            HostTensor a = dump == null ? denoise(from, Interventions.NONE, null, "the run to take from")
                    : denoise(to, new Interventions(List.of(Intervention.at("proj_out", new Change.Replace(dump))), null), null, "the dumped run");
            return new PatchScore(klein, clip, metrics, from, to, a, b);
        }

        private Observer sizing() {
            Set<String> names = names(points);
            return new Observer() {
                @Override
                public boolean wants(String point) {
                    return names.contains(point);
                }

                @Override
                public void saw(int step, Pass pass, String point, Tensor tensor) {
                    sizes.merge(point, tensor.dtype().bytes(tensor.shape().elements()), Long::sum);
                }
            };
        }

        /** In groups of points whose activations fit into the budget. */
        private List<Patching.Cell> captured(List<Place> open, String source, PatchScore score) {
            List<Patching.Cell> cells = new ArrayList<>();
            try (Capture capture = klein.capture()) {
                for (int from = 0; from < open.size();) {
                    Set<Point> kept = new LinkedHashSet<>();
                    long bytes = 0;
                    int to = from;
                    for (; to < open.size(); to++) {
                        Point point = open.get(to).point;
                        bytes += kept.contains(point) ? 0 : sizes.get(point.name());
                        if (bytes > budgetBytes && !kept.isEmpty()) {
                            break;
                        }
                        kept.add(point);
                    }
                    capture.take(names(kept));
                    klein.denoise(denoising, noise, prompts.get(source.equals(Patching.FROM) ? PatchProtocol.this.from : nullPrompt).embeds,
                            negativeEmbeds, List.of(), capture, null);
                    cells.addAll(patch(open.subList(from, to), capture, source, score));
                    from = to;
                }
            }
            return cells;
        }

        private List<Patching.Cell> patch(List<Place> open, ActivationSource source, String label, PatchScore score) {
            List<Patching.Cell> cells = new ArrayList<>();
            for (Place place : open) {
                Intervention patch = Intervention.at(place.point.name(), new Change.Replace(source)).stream(place.stream);
                patch = place.step == null ? patch : patch.steps(String.valueOf(place.step));
                HostTensor latents = denoise(to, new Interventions(List.of(patch), prompts.get(to).groups, names(points)), null,
                        label + ", " + place.point.name() + " " + place.stream.label());
                Patching.Cell cell = new Patching.Cell(place.point.name(), place.stream.label(), place.step, seed, label, score.of(latents));
                store.keep(cell);
                cells.add(cell);
            }
            return cells;
        }
    }

    private static Set<String> names(Set<Point> points) {
        return points.stream().map(Point::name).collect(Collectors.toCollection(LinkedHashSet::new));
    }

    private List<Patching.Effect> effects(List<Patching.Cell> cells) {
        List<Patching.Effect> effects = new ArrayList<>();
        for (Place place : places()) {
            for (PatchMetric metric : metrics) {
                double[] values = values(cells, place, metric, Patching.FROM);
                double[] nulls = values(cells, place, metric, Patching.NULL);
                if (values.length > 0) {
                    effects.add(new Patching.Effect(place.point.name(), place.stream.label(), place.step, metric, Mean.of(values).getAsDouble(),
                            values.length > 1 ? StandardDeviation.of(values).getAsDouble() : Double.NaN,
                            nulls.length == 0 ? null : Mean.of(nulls).getAsDouble()));
                }
            }
        }
        return effects;
    }

    private static double[] values(List<Patching.Cell> cells, Place place, PatchMetric metric, String source) {
        return cells.stream().filter(cell -> cell.source().equals(source) && cell.point().equals(place.point.name())
                && cell.stream().equals(place.stream.label()) && Objects.equals(cell.step(), place.step))
                .mapToDouble(cell -> cell.values().getOrDefault(metric, Double.NaN)).toArray();
    }

    private String finding(List<Patching.Effect> effects) {
        PatchMetric metric = metrics.getFirst();
        List<Patching.Effect> own = effects.stream().filter(effect -> effect.metric() == metric && !Double.isNaN(effect.effect())).toList();
        if (own.isEmpty()) {
            return "The metric " + metric.label() + " could not be taken of any run.";
        }
        String along = alongTheStreams(own);
        if (!along.isEmpty()) {
            return "By " + metric.label() + ", " + along + " This describes one pair; it is no test.";
        }
        Patching.Effect most = own.stream().max(Comparator.comparingDouble(effect -> Math.abs(effect.effect()))).orElseThrow();
        return String.format(Locale.ROOT, "By %s, replacing %s (%s%s) moves the outcome most: %.3f of the way from the second prompt's to the "
                + "first's%s. This describes one pair; it is no test.", metric.label(), most.point(), most.stream(),
                most.step() == null ? "" : ", step " + most.step() + " alone", most.effect(), most.nullEffect() == null ? ""
                        : String.format(Locale.ROOT, ", where the comparison's activation moves it %.3f", most.nullEffect()));
    }

    /** Where the residual stream begins and ceases to carry more than half; empty unless it alone was patched, at all steps at once. */
    private String alongTheStreams(List<Patching.Effect> effects) {
        if (perStep || points.stream().anyMatch(point -> point.role() != Point.Role.BLOCK)) {
            return "";
        }
        List<String> parts = new ArrayList<>();
        for (TokenStream stream : List.of(TokenStream.TEXT, TokenStream.IMAGE)) {
            List<Patching.Effect> own = effects.stream().filter(effect -> effect.stream().equals(stream.label())).toList();
            List<Patching.Effect> half = own.stream().filter(effect -> effect.effect() >= 0.5).toList();
            if (own.isEmpty()) {
                continue;
            }
            if (half.isEmpty()) {
                Patching.Effect most = own.stream().max(Comparator.comparingDouble(Patching.Effect::effect)).orElseThrow();
                parts.add(String.format(Locale.ROOT, "the %s stream nowhere carries half of the difference (most %.3f, after %s)", stream.label(),
                        most.effect(), most.point()));
            } else {
                Patching.Effect first = half.getFirst();
                Patching.Effect last = half.getLast();
                parts.add(String.format(Locale.ROOT, "the %s stream carries more than half of the difference from %s (%.3f) to %s (%.3f)",
                        stream.label(), first.point(), first.effect(), last.point(), last.effect()));
            }
        }
        return parts.isEmpty() ? "" : String.join("; ", parts) + ".";
    }

    private List<String> limits(int seeds, Map<String, Encoded> prompts) {
        List<String> limits = new ArrayList<>();
        limits.add("One pair of prompts: how much other pairs move at the same places is not measured here, so a large effect is no peculiarity "
                + "of this pair, and a small one excludes nothing.");
        if (nullPrompt == null) {
            limits.add("No comparison: how far a paraphrase's activation would move the outcome is unknown; --null PROMPT measures it.");
        }
        if (seeds < 2) {
            limits.add("One seed: the spread over noise is unknown.");
        }
        if (!perStep) {
            limits.add("All steps are patched at once: from the second on, the first run's activation meets latents that it was not computed for, "
                    + "and late blocks, whose image tokens alone make the output, have an effect of 1 by construction. --per-step tells steps apart.");
        }
        limits.add("An effect says that a place suffices to carry the difference, not that the model computes it there: the residual stream carries "
                + "everything before it. What a block adds is patched at its branches (attn, ff).");
        limits.add("A patched stream beside an unpatched one is a state that no prompt produces.");
        if (from == null) {
            limits.add("The dump's run is taken to have started from the same noise.");
        } else if (!prompts.get(from).groups.get(Pass.COND).equals(prompts.get(to).groups.get(Pass.COND))) {
            limits.add("The prompts differ in length: text is patched by position, so words meet template or padding, and the streams prompt, "
                    + "template and padding are the second prompt's positions.");
        }
        return limits;
    }
}
