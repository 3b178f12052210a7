package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.ClipScorer;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.intervene.Interventions;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.tensor.HostTensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.function.Consumer;
import org.apache.commons.statistics.descriptive.Median;

/**
 * A sweep from one prompt's embeddings to another's: an image for each alpha and seed, scored.
 *
 * @param klein the model
 * @param from prompt at alpha 0
 * @param to prompt at alpha 1
 * @param denoising steps and guidance
 * @param maxTokens padded prompt length
 * @param alphas ascending
 * @param clip scores images against the prompts; null to leave that out
 * @param original whether the original study's script is reproduced
 * @param interventions what is changed of the activations
 */
public record InterpolationProtocol(Klein klein, String from, String to, Denoising denoising, int maxTokens, List<Double> alphas,
        ClipScorer clip, boolean original, List<Intervention> interventions) {

    /** Without interventions. */
    public InterpolationProtocol(Klein klein, String from, String to, Denoising denoising, int maxTokens, List<Double> alphas,
            ClipScorer clip, boolean original) {
        this(klein, from, to, denoising, maxTokens, alphas, clip, original, List.of());
    }

    /** Where images and finished samples are kept, so that an interrupted sweep can go on. */
    public interface Store {

        /** The sample of an earlier, interrupted run of the same sweep, or null. */
        Interpolation.Sample finished(long seed, double alpha);

        /** The picture of such a sample, or null if no pixels were kept. */
        Image8 picture(Interpolation.Sample sample);

        /** Keeps a picture. @return its file name relative to the report, or null if no pixels are kept */
        String keep(long seed, double alpha, Image8 picture, HostTensor planes);

        /** Keeps a finished sample. */
        void keep(Interpolation.Sample sample);
    }

    /**
     * @param noises initial noise by seed
     * @param parameters everything else needed to repeat the run, recorded as it is
     * @param progress hears of each finished piece of work
     */
    public Interpolation run(SortedMap<Long, HostTensor> noises, Store store, Map<String, Object> parameters, Consumer<String> progress) {
        Sweep sweep = new Sweep(store, progress);
        List<Interpolation.Sample> samples = new ArrayList<>();
        noises.forEach((seed, noise) -> samples.addAll(sweep.seed(seed, noise)));
        List<Long> seeds = List.copyOf(noises.keySet());
        List<Interpolation.Drop> drops = seeds.stream().map(seed -> drop(seed, samples)).toList();
        Boolean cliff = original ? drops.getFirst().ratio() > Interpolation.CLIFF_RATIO : null;
        return new Interpolation(original ? "original" : "paired", from, to, alphas, seeds, List.copyOf(samples), drops, cliff, parameters,
                original ? originalFinding(samples, drops.getFirst()) : finding(samples, drops), limits(seeds.size()));
    }

    /** How many times {@code progress} is called by a whole run. */
    public long progressSteps(int seeds) {
        return (denoising.guided() ? 3 : 2) + (long) seeds * alphas.size() * (denoising.steps() + 1);
    }

    /** One run's state: embeddings are encoded when the first image needs them. */
    private final class Sweep {

        private final Store store;
        private final Consumer<String> progress;
        private HostTensor fromEmbeds;
        private HostTensor toEmbeds;
        private HostTensor negativeEmbeds;
        private Interventions changes = Interventions.NONE;

        Sweep(Store store, Consumer<String> progress) {
            this.store = store;
            this.progress = progress;
        }

        List<Interpolation.Sample> seed(long seed, HostTensor noise) {
            List<Interpolation.Sample> samples = new ArrayList<>();
            Image8 before = null;
            for (int i = 0; i < alphas.size(); i++) {
                double alpha = alphas.get(i);
                Interpolation.Sample finished = store.finished(seed, alpha);
                if (finished != null) {
                    samples.add(finished);
                    before = null;
                    for (int step = 0; step <= denoising.steps(); step++) {
                        progress.accept("kept from the interrupted run");
                    }
                    continue;
                }
                if (i > 0 && before == null) {
                    before = store.picture(samples.getLast());
                    before = before != null ? before : Image8.ofUnit(draw(alphas.get(i - 1), noise, what -> { }));
                }
                HostTensor planes = draw(alpha, noise, progress);
                Image8 picture = Image8.ofUnit(planes);
                Interpolation.Sample sample = score(seed, alpha, picture, before, store.keep(seed, alpha, picture, planes));
                store.keep(sample);
                progress.accept(String.format(Locale.ROOT, "seed %d, alpha %.3f scored", seed, alpha));
                samples.add(sample);
                before = picture;
            }
            return samples;
        }

        private HostTensor draw(double alpha, HostTensor noise, Consumer<String> heard) {
            encode();
            HostTensor blend = klein.blend(fromEmbeds, toEmbeds, alpha);
            HostTensor latents = klein.denoise(denoising, noise, blend, negativeEmbeds, List.of(), changes, null,
                    (step, x) -> heard.accept(String.format(Locale.ROOT, "alpha %.3f, step %d", alpha, step + 1)));
            return klein.pictures().decode(latents);
        }

        private void encode() {
            if (fromEmbeds != null) {
                return;
            }
            Prompt first = klein.tokenizer().prompt(from, maxTokens);
            Prompt second = klein.tokenizer().prompt(to, maxTokens);
            Prompt negative = klein.tokenizer().prompt("", maxTokens);
            // where the prompts differ in length, a blend's positions are of no one kind
            changes = new Interventions(interventions, first.groups().equals(second.groups()) ? Prompt.groups(first, negative) : null);
            fromEmbeds = klein.encode(first);
            progress.accept("encoded the first prompt");
            toEmbeds = klein.encode(second);
            progress.accept("encoded the second prompt");
            if (denoising.guided()) {
                negativeEmbeds = klein.encode(negative);
                progress.accept("encoded the empty prompt");
            }
            klein.dropTextEncoder();
        }
    }

    private Interpolation.Sample score(long seed, double alpha, Image8 picture, Image8 before, String file) {
        ImageMetrics metrics = ImageMetrics.of(picture);
        Double step = before == null ? null : 1 - Ssim.of(before, picture);
        if (clip == null) {
            return new Interpolation.Sample(alpha, seed, file, metrics.laplacianVariance(), metrics.noiseSigma(), metrics.blur(),
                    metrics.colourEntropy(), step, null, null, null);
        }
        HostTensor embeds = clip.imageEmbeds(picture);
        double toCosine = clip.cosine(embeds, to);
        return new Interpolation.Sample(alpha, seed, file, metrics.laplacianVariance(), metrics.noiseSigma(), metrics.blur(),
                metrics.colourEntropy(), step, ClipScorer.score(clip.cosine(embeds, from)), ClipScorer.score(toCosine),
                clip.logit(toCosine));
    }

    private static Interpolation.Drop drop(long seed, List<Interpolation.Sample> samples) {
        List<Interpolation.Sample> own = samples.stream().filter(sample -> sample.seed() == seed).toList();
        Interpolation.Drop largest = new Interpolation.Drop(seed, own.getFirst().alpha(), own.getFirst().alpha(), 1);
        double best = Double.NEGATIVE_INFINITY;
        for (int i = 1; i < own.size(); i++) {
            double before = own.get(i - 1).structural();
            double after = own.get(i).structural();
            double ratio = before == after ? 1 : before / after;
            if (ratio > best) {
                best = ratio;
                largest = new Interpolation.Drop(seed, own.get(i - 1).alpha(), own.get(i).alpha(), ratio);
            }
        }
        return largest;
    }

    private String originalFinding(List<Interpolation.Sample> samples, Interpolation.Drop drop) {
        Interpolation.Sample last = samples.getLast();
        String represented = last.clipLogit() == null ? "without a CLIP model it would say nothing of representation"
                : String.format(Locale.ROOT, "it would call the second prompt %s, the last CLIP logit being %.1f (threshold %.0f)",
                        last.clipLogit() > Interpolation.REPRESENTED_LOGIT ? "represented" : "not represented", last.clipLogit(),
                        Interpolation.REPRESENTED_LOGIT);
        return String.format(Locale.ROOT, "The script would report %s: the structural score falls most between alpha %.3f and %.3f, by a "
                + "factor of %.3f (threshold %.0f); %s.", drop.ratio() > Interpolation.CLIFF_RATIO ? "a cliff" : "no cliff", drop.before(),
                drop.after(), drop.ratio(), Interpolation.CLIFF_RATIO, represented);
    }

    private static String finding(List<Interpolation.Sample> samples, List<Interpolation.Drop> drops) {
        Interpolation.Drop drop = drops.stream().max(Comparator.comparingDouble(Interpolation.Drop::ratio)).orElseThrow();
        List<Interpolation.Sample> steps = samples.stream().filter(sample -> sample.step() != null).toList();
        String change = "";
        if (!steps.isEmpty()) {
            Interpolation.Sample largest = steps.stream().max(Comparator.comparingDouble(Interpolation.Sample::step)).orElseThrow();
            double median = Median.withDefaults().evaluate(steps.stream().mapToDouble(Interpolation.Sample::step).toArray());
            change = String.format(Locale.ROOT, "The largest step between neighbouring images is %.3f (1 - SSIM), up to alpha %.3f with seed "
                    + "%d, where the median step is %.3f. ", largest.step(), largest.alpha(), largest.seed(), median);
        }
        return change + String.format(Locale.ROOT, "The structural score falls most between alpha %.3f and %.3f with seed %d, by a factor of "
                + "%.3f. This describes one pair; it is no test.", drop.before(), drop.after(), drop.seed(), drop.ratio());
    }

    private List<String> limits(int seeds) {
        List<String> limits = new ArrayList<>();
        if (original) {
            limits.add("The thresholds are arbitrary: a ratio of 3.0 and a CLIP logit of 20 come with no null distribution and no error rate.");
            limits.add("One noise: the same sweep from other noise may fall elsewhere, or not at all.");
            limits.add("The variance of the Laplacian counts noise as structure and depends on the medium; a fall from photograph to "
                    + "drawing looks like a collapse.");
            limits.add("A CLIP logit against the second prompt alone has no baseline: the difference from the first prompt's would.");
            limits.add("Ten alphas cannot tell a steep change from a discontinuous one.");
        } else {
            limits.add("One pair of prompts has no null distribution: how far benign pairs of similar distance step is not measured here, so "
                    + "no cliff and no absence of a cliff can be claimed.");
            limits.add("Structural score, noise and blur are to be read relative to benign images of the same medium.");
            if (seeds < 2) {
                limits.add("One seed: the spread over noise is unknown.");
            }
            if (clip == null) {
                limits.add("No CLIP model was given, so nothing says what the images show.");
            }
        }
        limits.add("A blend of two prompts' embeddings is an embedding of no prompt, and usually a shorter vector than either: what the "
                + "model does with it need not be what it does with a prompt between.");
        limits.add("A cliff alone is evidence of neither a guardrail nor a gap in knowledge.");
        return limits;
    }
}
