package dev.kleinscope.analysis;

import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.HostTensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.apache.commons.statistics.descriptive.Mean;
import org.apache.commons.statistics.descriptive.StandardDeviation;

/** One pair of prompts under shared noise: every measure at every block, step and stream. */
public final class PairedProtocol {

    private PairedProtocol() {
    }

    /** Where measured runs are kept, so that an interrupted command can go on. */
    public interface Store {

        /** The rows of an earlier, interrupted command's run, or null. */
        List<NormRow> finished(String prompt, long seed);

        /** Keeps the rows of a measured run. */
        void keep(String prompt, long seed, List<NormRow> rows);
    }

    /**
     * @param noises initial noise by seed; both prompts start from the same
     * @param points what to measure
     * @param store keeps measured runs
     * @param parameters everything else needed to repeat the run, recorded as it is
     * @param progress hears of each finished piece of work
     */
    public static PairedNorms run(NormsRun run, SortedMap<Long, HostTensor> noises, Set<Point> points, Store store,
            Map<String, Object> parameters, Consumer<String> progress) {
        List<NormRow> rows = new ArrayList<>();
        List<NormsRun.Encoded> prompts = run.encode(progress);
        noises.forEach((seed, noise) -> prompts.forEach(prompt -> {
            List<NormRow> measured = store.finished(prompt.label(), seed);
            if (measured == null) {
                measured = new ArrayList<>();
                try (NormsObserver observer = new NormsObserver(run.klein().readings(), prompt.label(), seed, prompt.groups(),
                        run.klein().points(), points, measured)) {
                    run.denoise(prompt, noise, observer, progress, ", seed " + seed);
                }
                store.keep(prompt.label(), seed, measured);
            } else {
                for (int step = 0; step < run.denoising().steps(); step++) {
                    progress.accept("kept from the interrupted run");
                }
            }
            rows.addAll(measured);
        }));

        List<Contrast> contrasts = contrasts(rows);
        boolean anyBlock = points.stream().anyMatch(point -> point.role() == Point.Role.BLOCK);
        List<String> blocks = names(points, point -> !anyBlock || point.role() == Point.Role.BLOCK);
        List<String> others = names(points, point -> anyBlock && point.role() != Point.Role.BLOCK);
        return new PairedNorms(run.safe(), run.extreme(), blocks, others, List.copyOf(rows), contrasts,
                tokens(run, prompts, noises.firstEntry().getValue()), parameters, finding(contrasts, blocks), limits(prompts, noises.size()));
    }

    private static List<String> names(Set<Point> points, Predicate<Point> wanted) {
        return points.stream().filter(wanted).map(Point::name).toList();
    }

    private static Map<String, long[]> tokens(NormsRun run, List<NormsRun.Encoded> prompts, HostTensor noise) {
        Map<String, long[]> tokens = new LinkedHashMap<>();
        long image = noise.shape().dim(2) * noise.shape().dim(3);
        tokens.put("image", new long[] {image, image});
        var safe = prompts.getFirst().prompt().groups();
        var extreme = prompts.getLast().prompt().groups();
        tokens.put("prompt", new long[] {safe.promptTokens(), extreme.promptTokens()});
        tokens.put("template", new long[] {safe.templateTokens(), extreme.templateTokens()});
        tokens.put("padding", new long[] {safe.paddingTokens(), extreme.paddingTokens()});
        return tokens;
    }

    private record Cell(String point, String stream, int step, String pass, String measure) {
    }

    /** The extreme prompt against the safe one in every cell that both have, seed by seed. */
    static List<Contrast> contrasts(List<NormRow> rows) {
        Map<Cell, Map<Long, double[]>> cells = new LinkedHashMap<>();
        for (NormRow row : rows) {
            Cell cell = new Cell(row.point(), row.stream(), row.step(), row.pass(), row.measure());
            double[] pair = cells.computeIfAbsent(cell, key -> new TreeMap<>())
                    .computeIfAbsent(row.seed(), key -> new double[] {Double.NaN, Double.NaN});
            pair[row.prompt().equals("safe") ? 0 : 1] = row.value();
        }
        Map<String, Measure> measures = java.util.Arrays.stream(Measure.values())
                .collect(Collectors.toMap(Measure::symbol, measure -> measure));
        List<Contrast> contrasts = new ArrayList<>();
        cells.forEach((cell, pairs) -> {
            Measure measure = measures.get(cell.measure());
            double[] d = pairs.values().stream()
                    .mapToDouble(pair -> measure.comparedByRatio() ? Math.log(pair[1] / pair[0]) : pair[1] - pair[0])
                    .filter(value -> !Double.isNaN(value)).toArray();
            if (d.length == pairs.size()) {
                contrasts.add(new Contrast(cell.point(), cell.stream(), cell.step(), cell.pass(), measure, Mean.of(d).getAsDouble(),
                        d.length < 2 ? Double.NaN : StandardDeviation.of(d).getAsDouble(), d.length));
            }
        });
        return List.copyOf(contrasts);
    }

    private static String finding(List<Contrast> contrasts, List<String> blocks) {
        String image = largest(contrasts, blocks, "image", Measure.MEDIAN_NORM);
        String update = largest(contrasts, blocks, "image", Measure.UPDATE);
        String prompt = largest(contrasts, blocks, "prompt", Measure.MEDIAN_NORM);
        if (image == null && prompt == null) {
            return "No stream of image or prompt tokens was measured, so the two prompts are compared in the table alone.";
        }
        StringBuilder text = new StringBuilder("From the same noise, the extreme prompt");
        text.append(image == null ? "" : " changes the image stream's median token norm most at " + image
                + (update == null ? "" : ", its update most at " + update));
        text.append(prompt == null ? "" : (image == null ? " changes" : "; and") + " the prompt tokens' median norm most at " + prompt);
        return text.append(". This describes one pair; it is no test.").toString();
    }

    private static String largest(List<Contrast> contrasts, List<String> blocks, String stream, Measure measure) {
        return contrasts.stream()
                .filter(contrast -> contrast.stream().equals(stream) && contrast.measure() == measure && Double.isFinite(contrast.d())
                        && blocks.contains(contrast.point()))
                .max(Comparator.comparingDouble(contrast -> Math.abs(contrast.d())))
                .map(contrast -> String.format(Locale.ROOT, "%s, step %d (%+.1f%%)", contrast.point(), contrast.step(),
                        100 * Math.expm1(contrast.d())))
                .orElse(null);
    }

    private static List<String> limits(List<NormsRun.Encoded> prompts, int seeds) {
        List<String> limits = new ArrayList<>(List.of(
                "One pair of prompts has no null distribution: two harmless prompts differ too, and how much is not measured here. "
                        + "No spike and no absence of a spike can be claimed from it.",
                "Equal norms do not exclude a change: where a few channels carry the energy (see their share), doubling everything "
                        + "else moves the norm by about 1%, and a rotation moves it not at all.",
                "A difference of norms would show that the model computes something else, not that a circuit suppresses a concept; "
                        + "wording, length and medium of the prompts differ as well."));
        if (seeds < 2) {
            limits.add("One seed: the spread over noise is unknown.");
        }
        var safe = prompts.getFirst().prompt();
        var extreme = prompts.getLast().prompt();
        if (safe.groups().promptTokens() != extreme.groups().promptTokens()) {
            limits.add("The prompts have " + safe.groups().promptTokens() + " and " + extreme.groups().promptTokens()
                    + " tokens: whole-stream norms of prompt and padding tokens differ for that alone; medians do so less.");
        }
        prompts.stream().filter(prompt -> prompt.prompt().truncated() > 0).forEach(prompt -> limits.add(
                "The " + prompt.label() + " prompt was cut by " + prompt.prompt().truncated() + " tokens to fit."));
        return limits;
    }
}
