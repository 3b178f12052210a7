package dev.kleinscope.report;

import dev.kleinscope.analysis.Contrast;
import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.Measure;
import dev.kleinscope.analysis.OriginalNorms;
import dev.kleinscope.analysis.PairedNorms;
import dev.kleinscope.analysis.PatchMetric;
import dev.kleinscope.analysis.Patching;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A run in one JSON document: what was asked, with which parameters, and what came out in short. The numbers themselves are
 * in the CSV. NaN becomes {@code null}, an infinity the string {@code "Infinity"} or {@code "-Infinity"}.
 *
 * <p>Paired: {@code schema}, {@code protocol}, {@code prompts}, {@code parameters}, {@code tokens} (per stream, safe then
 * extreme), {@code finding}, {@code limits}, {@code contrasts} and {@code branch_contrasts}. The last two hold, by measure
 * and stream, {@code largest} (the contrast with the largest |d| over points, steps and passes: {@code point}, {@code step},
 * {@code pass}, {@code d}, {@code spread}, {@code seeds}) and {@code median_abs_d} over the same.
 *
 * <p>Original: {@code schema}, {@code protocol}, {@code parameters}, {@code finding}, {@code defects}, {@code threshold},
 * {@code spikes} and {@code layers} ({@code layer}, {@code safe_avg}, {@code extreme_avg}, {@code ratio}, and the norm at each
 * call in {@code safe} and {@code extreme}).
 *
 * <p>A sweep between two prompts: {@code schema}, {@code protocol}, {@code command} ({@code interpolate}), {@code prompts}
 * ({@code from} and {@code to}), {@code parameters}, {@code finding}, {@code limits}, {@code cliff} and {@code represented}
 * (what the original script says; null where it says nothing), its thresholds {@code cliff_ratio} and
 * {@code represented_logit}, {@code alphas}, {@code seeds}, {@code drops} and {@code samples}, whose fields are the CSV's with
 * {@code image} and {@code clip_logit}; a score that was not taken is null.
 *
 * <p>Activation patching: {@code schema}, {@code protocol} and {@code command} ({@code patch}), {@code prompts} ({@code from},
 * {@code to}, {@code null}), {@code parameters}, {@code finding}, {@code limits}, {@code metrics} and {@code effects}: {@code point},
 * {@code stream}, {@code step} (null for all), {@code metric}, {@code effect}, {@code spread}, {@code null_effect}.
 */
public final class RunJson {

    /** First field of every document. */
    public static final String SCHEMA = "kleinscope.run/1";

    private RunJson() {
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void write(Path target, PairedNorms norms) {
        AtomicFile.write(target, out -> out.write(json(norms)));
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void write(Path target, OriginalNorms norms) {
        AtomicFile.write(target, out -> out.write(json(norms)));
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void write(Path target, Interpolation sweep) {
        AtomicFile.write(target, out -> out.write(json(sweep)));
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void write(Path target, Patching patching) {
        AtomicFile.write(target, out -> out.write(json(patching)));
    }

    /** The document as text, ending in a line feed. */
    public static String json(Patching patching) {
        Map<String, Object> run = head("patch");
        run.put("command", "patch");
        Map<String, Object> prompts = new LinkedHashMap<>();
        prompts.put("from", patching.from());
        prompts.put("to", patching.to());
        prompts.put("null", patching.nullPrompt());
        run.put("prompts", prompts);
        run.put("parameters", patching.parameters());
        run.put("finding", patching.finding());
        run.put("limits", patching.limits());
        run.put("metrics", patching.metrics().stream().map(PatchMetric::label).toList());
        run.put("effects", patching.effects().stream().map(RunJson::entry).toList());
        return Json.pretty(run);
    }

    private static Map<String, Object> entry(Patching.Effect effect) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("point", effect.point());
        entry.put("stream", effect.stream());
        entry.put("step", effect.step());
        entry.put("metric", effect.metric().label());
        entry.put("effect", effect.effect());
        entry.put("spread", effect.spread());
        entry.put("null_effect", effect.nullEffect());
        return entry;
    }

    /** The document as text, ending in a line feed. */
    public static String json(PairedNorms norms) {
        Map<String, Object> run = head("paired");
        Map<String, Object> prompts = new LinkedHashMap<>();
        prompts.put("safe", norms.safe());
        prompts.put("extreme", norms.extreme());
        run.put("prompts", prompts);
        run.put("parameters", norms.parameters());
        run.put("tokens", norms.tokens());
        run.put("finding", norms.finding());
        run.put("limits", norms.limits());
        run.put("contrasts", summary(norms.contrasts(), norms.blocks()));
        run.put("branch_contrasts", summary(norms.contrasts(), norms.branches()));
        return Json.pretty(run);
    }

    /** The document as text, ending in a line feed. */
    public static String json(OriginalNorms norms) {
        Map<String, Object> run = head("original");
        run.put("parameters", norms.parameters());
        run.put("finding", norms.finding());
        run.put("defects", norms.defects());
        run.put("threshold", OriginalNorms.THRESHOLD);
        run.put("spikes", norms.spikes());
        run.put("layers", norms.layers().stream().map(RunJson::layer).toList());
        return Json.pretty(run);
    }

    /** The document as text, ending in a line feed. */
    public static String json(Interpolation sweep) {
        Map<String, Object> run = head(sweep.protocol());
        run.put("command", "interpolate");
        Map<String, Object> prompts = new LinkedHashMap<>();
        prompts.put("from", sweep.from());
        prompts.put("to", sweep.to());
        run.put("prompts", prompts);
        run.put("parameters", sweep.parameters());
        run.put("finding", sweep.finding());
        run.put("limits", sweep.limits());
        run.put("cliff", sweep.cliff());
        run.put("represented", InterpolationData.represented(sweep));
        run.put("cliff_ratio", Interpolation.CLIFF_RATIO);
        run.put("represented_logit", Interpolation.REPRESENTED_LOGIT);
        run.put("alphas", sweep.alphas());
        run.put("seeds", sweep.seeds());
        run.put("drops", sweep.drops().stream().map(RunJson::entry).toList());
        run.put("samples", sweep.samples().stream().map(RunJson::entry).toList());
        return Json.pretty(run);
    }

    private static Map<String, Object> entry(Interpolation.Drop drop) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("seed", drop.seed());
        entry.put("before", drop.before());
        entry.put("after", drop.after());
        entry.put("ratio", drop.ratio());
        return entry;
    }

    private static Map<String, Object> entry(Interpolation.Sample sample) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("alpha", sample.alpha());
        entry.put("seed", sample.seed());
        entry.put("image", sample.image());
        entry.put("structural", sample.structural());
        entry.put("clip_from", sample.clipFrom());
        entry.put("clip_to", sample.clipTo());
        entry.put("clip_logit", sample.clipLogit());
        entry.put("noise_sigma", sample.noiseSigma());
        entry.put("blur", sample.blur());
        entry.put("colour_entropy", sample.colourEntropy());
        entry.put("step", sample.step());
        return entry;
    }

    private static Map<String, Object> head(String protocol) {
        Map<String, Object> run = new LinkedHashMap<>();
        run.put("schema", SCHEMA);
        run.put("protocol", protocol);
        return run;
    }

    private static Map<String, Object> layer(OriginalNorms.Layer layer) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("layer", layer.layer());
        entry.put("safe_avg", layer.safeAvg());
        entry.put("extreme_avg", layer.extremeAvg());
        entry.put("ratio", layer.ratio());
        entry.put("safe", layer.safe());
        entry.put("extreme", layer.extreme());
        return entry;
    }

    private static Map<String, Map<String, Object>> summary(List<Contrast> contrasts, List<String> points) {
        Set<String> wanted = new HashSet<>(points);
        Map<String, Map<String, Object>> byMeasure = new LinkedHashMap<>();
        for (Measure measure : Measure.values()) {
            List<Contrast> measured = contrasts.stream()
                    .filter(c -> c.measure() == measure && wanted.contains(c.point())).toList();
            Map<String, Object> byStream = new LinkedHashMap<>();
            measured.stream().map(Contrast::stream).distinct().forEach(stream -> byStream.put(stream,
                    summary(measured.stream().filter(c -> c.stream().equals(stream)).toList())));
            if (!byStream.isEmpty()) {
                byMeasure.put(measure.symbol(), byStream);
            }
        }
        return byMeasure;
    }

    private static Map<String, Object> summary(List<Contrast> contrasts) {
        Map<String, Object> summary = new LinkedHashMap<>();
        List<Contrast> known = contrasts.stream().filter(c -> !Double.isNaN(c.d())).toList();
        summary.put("largest", known.stream().max(Comparator.comparingDouble(c -> Math.abs(c.d()))).map(RunJson::entry)
                .orElse(null));
        summary.put("median_abs_d", median(known.stream().mapToDouble(c -> Math.abs(c.d())).toArray()));
        return summary;
    }

    private static Map<String, Object> entry(Contrast contrast) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("point", contrast.point());
        entry.put("step", contrast.step());
        entry.put("pass", contrast.pass());
        entry.put("d", contrast.d());
        entry.put("spread", contrast.spread());
        entry.put("seeds", contrast.seeds());
        return entry;
    }

    private static double median(double[] values) {
        if (values.length == 0) {
            return Double.NaN;
        }
        Arrays.sort(values);
        int middle = values.length / 2;
        return values.length % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    }
}
