package dev.kleinscope.report;

import dev.kleinscope.analysis.Contrast;
import dev.kleinscope.analysis.Measure;
import dev.kleinscope.analysis.NormRow;
import dev.kleinscope.analysis.OriginalNorms;
import dev.kleinscope.analysis.PairedNorms;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Made-up results of the shape that a run has: 25 blocks, four streams, four steps, three seeds, and a norm that jumps
 * tenfold at the last double block for both prompts. {@code main} writes the reports, to be looked at.
 */
final class SampleNorms {

    private static final int DOUBLE_BLOCKS = 5;
    private static final int SINGLE_BLOCKS = 20;
    private static final int STEPS = 4;
    private static final long[] SEEDS = {0, 1, 2};
    private static final List<String> TEXT = List.of("prompt", "template", "padding");

    private SampleNorms() {
    }

    public static void main(String[] args) throws Exception {
        Path folder = Files.createDirectories(Path.of(args[0]));
        PairedNorms plain = paired("A hallway whose floor is covered in red paint, evening light, 35mm photograph",
                "A hallway whose floor is covered in real blood, evening light, 35mm photograph", List.of("cond"));
        NormsReport.write(folder.resolve("paired.html"), plain);
        NormsCsv.write(folder.resolve("paired.csv"), plain);
        RunJson.write(folder.resolve("paired.json"), plain);
        NormsReport.write(folder.resolve("hostile.html"), paired(HOSTILE, "word ".repeat(10_000), List.of("cond", "uncond")));
        NormsReport.write(folder.resolve("points.html"), points());
        NormsReport.write(folder.resolve("original.html"), original());
        RunJson.write(folder.resolve("original.json"), original());
        NormsCsv.write(folder.resolve("original.csv"), original());
    }

    /** Everything that could end a string, an element, a comment or a template's slot, or turn the reading direction. */
    static final String HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> ]]> "
            + "\"'`${7*7}{{data}}{{scripts}}" + "\n&amp;&#60; \u202Eright to left\u202C \u05E9\u05DC\u05D5\u05DD \uD83D\uDC7B \uD83D lone \u2028 line \u0000 nul";

    static PairedNorms paired() {
        return paired("a red door", "a red wound", List.of("cond"));
    }

    static PairedNorms paired(String safe, String extreme, List<String> passes) {
        List<String> blocks = new ArrayList<>();
        List<String> branches = new ArrayList<>();
        for (int i = 0; i < DOUBLE_BLOCKS; i++) {
            String block = "transformer_blocks." + i;
            blocks.add(block + ".img");
            blocks.add(block + ".txt");
            branches.addAll(List.of(block + ".attn.img", block + ".attn.txt", block + ".ff", block + ".ff_context"));
        }
        for (int i = 0; i < SINGLE_BLOCKS; i++) {
            blocks.add("single_transformer_blocks." + i);
            branches.add("single_transformer_blocks." + i + ".attn");
        }
        List<NormRow> rows = new ArrayList<>();
        List<Contrast> contrasts = new ArrayList<>();
        Random random = new Random(7);
        for (String pass : passes) {
            for (int depth = 0; depth < blocks.size(); depth++) {
                measure(blocks.get(depth), streams(blocks.get(depth)), depth(blocks.get(depth)), pass, List.of(Measure.values()),
                        random, rows, contrasts);
            }
            for (String branch : branches) {
                measure(branch, streams(branch), depth(branch), pass, List.of(Measure.MEDIAN_NORM, Measure.STREAM_NORM), random, rows, contrasts);
            }
        }
        Map<String, long[]> tokens = new LinkedHashMap<>();
        tokens.put("image", new long[] {4096, 4096});
        tokens.put("prompt", new long[] {17, 18});
        tokens.put("template", new long[] {13, 13});
        tokens.put("padding", new long[] {482, 481});
        return new PairedNorms(safe, extreme, blocks, branches, rows, contrasts, tokens, parameters(safe, extreme),
                "The extreme prompt's image stream differs most at S13, by 3.1% of the median token norm; this is one pair, and "
                        + "says nothing about a guardrail.",
                List.of("One pair has no null distribution: how much two harmless prompts differ is not known from it.",
                        "A norm is blind to direction: a rotation that keeps it would pass unseen.",
                        "Seeds are repeats of one pair, not further evidence; their spread is no confidence interval.",
                        "The prompts differ by one token in length, which moves the text streams by itself."));
    }

    /** A run that watched no block's output: each point has streams and measures of its own. */
    static PairedNorms points() {
        List<NormRow> rows = new ArrayList<>();
        List<Contrast> contrasts = new ArrayList<>();
        Random random = new Random(5);
        List<Measure> norms = List.of(Measure.MEDIAN_NORM, Measure.STREAM_NORM);
        measure("time_guidance_embed", List.of("all"), 0, "cond", norms, random, rows, contrasts);
        measure("transformer_blocks.4.attn.to_q", List.of("image"), 4, "cond", norms, random, rows, contrasts);
        measure("transformer_blocks.4.attn.to_k", List.of("image"), 4, "cond", norms, random, rows, contrasts);
        measure("proj_out", List.of("image"), 24, "cond", norms, random, rows, contrasts);
        return new PairedNorms("a red door", "a red wound", List.of("time_guidance_embed", "transformer_blocks.4.attn.to_q",
                "transformer_blocks.4.attn.to_k", "proj_out"), List.of(), rows, contrasts, Map.of("image", new long[] {4096, 4096}),
                parameters("a red door", "a red wound"), "No block's output was measured.", List.of("Four points are not the model."));
    }

    static OriginalNorms original() {
        List<OriginalNorms.Layer> layers = new ArrayList<>();
        Random random = new Random(3);
        for (int i = 0; i < DOUBLE_BLOCKS + SINGLE_BLOCKS; i++) {
            String name = i < DOUBLE_BLOCKS ? "DoubleStream_Layer_" + i : "SingleStream_Layer_" + (i - DOUBLE_BLOCKS);
            double base = i < 4 ? 24_000 + 2_000 * i : 330_000 * (1 + 0.01 * i);
            List<Double> safe = new ArrayList<>();
            List<Double> extreme = new ArrayList<>();
            for (int call = 0; call < 5; call++) {
                safe.add(base * (1 + 0.01 * random.nextGaussian()));
                extreme.add(base * (1.015 + 0.01 * random.nextGaussian()));
            }
            layers.add(new OriginalNorms.Layer(name, mean(safe), mean(extreme), safe, extreme));
        }
        return new OriginalNorms(layers, List.of(), parameters("a red door", "a red wound"),
                "No activation spike: no layer's norm for the extreme prompt exceeds 1.5 times that for the safe prompt.",
                List.of("A double block returns text and image; "
                                + "the first output is the text stream alone, and the DoubleStream figures say nothing of the image.",
                        "The two prompts start from different noise: one generator is seeded once and used for both.",
                        "A norm over the whole tensor is blind: where a few channels carry it, "
                                + "doubling everything else moves it by about 1%.",
                        "One seed, no null distribution, and a threshold chosen without a reason.",
                        "Most of the 512 text positions are padding and take part in every text norm.",
                        "No spike does not mean that the concept was scrubbed from the data: suppression by direction looks alike."));
    }

    private static Map<String, Object> parameters(String safe, String extreme) {
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("safe", safe);
        parameters.put("extreme", extreme);
        parameters.put("model", "flux-2-klein-4b.safetensors");
        parameters.put("steps", STEPS);
        parameters.put("seeds", SEEDS);
        parameters.put("size", Map.of("pixels", 1024));
        parameters.put("guidance", 1.0f);
        parameters.put("not measured", Double.NaN);
        parameters.put("backend", Path.of("cpu"));
        return parameters;
    }

    private static int depth(String point) {
        int index = Integer.parseInt(point.replaceAll("\\D+(\\d+).*", "$1"));
        return point.startsWith("single") ? DOUBLE_BLOCKS + index : index;
    }

    private static List<String> streams(String point) {
        if (point.startsWith("single")) {
            return List.of("image", "prompt", "template", "padding");
        }
        return point.endsWith(".img") || point.endsWith(".ff") ? List.of("image") : TEXT;
    }

    private static void measure(String point, List<String> streams, int depth, String pass, List<Measure> measures, Random random,
            List<NormRow> rows, List<Contrast> contrasts) {
        for (String stream : streams) {
            for (Measure measure : measures) {
                for (int step = 0; step < STEPS; step++) {
                    double[] d = new double[SEEDS.length];
                    for (int seed = 0; seed < SEEDS.length; seed++) {
                        double safe = level(measure, stream, depth, step) * (1 + 0.01 * random.nextGaussian());
                        double effect = 0.006 * random.nextGaussian() + 0.03 * bump(stream, depth) * (1 + 0.2 * step);
                        double extreme = measure == Measure.COSINE ? 1 - (1 - safe) * Math.exp(effect)
                                : measure == Measure.TOP_CHANNELS ? Math.min(1, safe * (1 + effect / 10)) : safe * Math.exp(effect);
                        if (measure == Measure.COSINE || measure == Measure.TOP_CHANNELS) {
                            safe = Math.min(safe, 0.99995);
                            extreme = Math.min(extreme, 0.99995);
                        }
                        rows.add(row("safe", seed, step, pass, point, stream, measure, safe));
                        rows.add(row("extreme", seed, step, pass, point, stream, measure, extreme));
                        d[seed] = measure.comparedByRatio() ? Math.log(extreme / safe) : extreme - safe;
                    }
                    contrasts.add(contrast(point, stream, step, pass, measure, d));
                }
            }
        }
    }

    private static NormRow row(String prompt, int seed, int step, String pass, String point, String stream, Measure measure,
            double value) {
        return new NormRow(prompt, SEEDS[seed], step, pass, point, stream, measure.symbol(), value);
    }

    private static Contrast contrast(String point, String stream, int step, String pass, Measure measure, double[] d) {
        double mean = 0;
        for (double each : d) {
            mean += each / d.length;
        }
        double squares = 0;
        for (double each : d) {
            squares += (each - mean) * (each - mean);
        }
        return new Contrast(point, stream, step, pass, measure, mean, Math.sqrt(squares / (d.length - 1)), d.length);
    }

    private static double level(Measure measure, String stream, int depth, int step) {
        double size = switch (stream) {
            case "image" -> 350;
            case "prompt" -> 900;
            case "template" -> 1500;
            default -> 500;
        };
        double jump = depth < 4 ? 1 : 10;
        return switch (measure) {
            case MEDIAN_NORM -> size * jump * (1 + 0.04 * depth) * (1 - 0.05 * step);
            case STREAM_NORM -> size * jump * (1 + 0.04 * depth) * (stream.equals("image") ? 64 : 12);
            case UPDATE -> depth == 4 ? 9.1 : 0.08 + 0.5 / (1 + depth);
            case COSINE -> depth == 4 ? 0.35 : 1 - 0.05 / (1 + depth * depth);
            case TOP_CHANNELS -> depth < 4 ? 0.12 + 0.05 * depth : 0.985 - 0.008 * (depth - 4);
        };
    }

    /** A small hump in the image stream about S13; the text streams have none. */
    private static double bump(String stream, int depth) {
        return stream.equals("image") ? Math.exp(-Math.pow((depth - 18) / 3.0, 2)) : 0;
    }

    private static double mean(List<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).average().orElseThrow();
    }
}
