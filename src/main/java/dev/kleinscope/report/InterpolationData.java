package dev.kleinscope.report;

import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.Interpolation.Drop;
import dev.kleinscope.analysis.Interpolation.Sample;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;

/** A sweep as a grid of seeds by alphas, and as the tree for {@link Json} that a report's scripts draw. */
final class InterpolationData {

    private static final Pattern FILE_NAME = Pattern.compile("\\w[\\w.-]*(/\\w[\\w.-]*)*");
    private static final byte[] PNG = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

    private InterpolationData() {
    }

    static boolean original(Interpolation sweep) {
        return switch (sweep.protocol()) {
            case "original" -> true;
            case "paired" -> false;
            default -> throw new IllegalArgumentException("protocol of a sweep: expected paired or original, found "
                    + sweep.protocol());
        };
    }

    /** Whether the original script calls the concept represented; null where it has no say. */
    static Boolean represented(Interpolation sweep) {
        Double logit = original(sweep) && !sweep.samples().isEmpty() ? sweep.samples().getLast().clipLogit() : null;
        return logit == null || logit.isNaN() ? null : logit > Interpolation.REPRESENTED_LOGIT;
    }

    /**
     * Samples by the order of seeds and then of alphas; null where there is none.
     *
     * @throws IllegalArgumentException for a sweep without samples, or a sample of an alpha or seed that the sweep lacks
     */
    static Sample[][] grid(Interpolation sweep) {
        if (sweep.samples().isEmpty()) {
            throw new IllegalArgumentException("report of a sweep: expected at least one image, found none; run it again");
        }
        Sample[][] grid = new Sample[sweep.seeds().size()][sweep.alphas().size()];
        for (Sample sample : sweep.samples()) {
            int seed = sweep.seeds().indexOf(sample.seed());
            int alpha = sweep.alphas().indexOf(sample.alpha());
            if (seed < 0 || alpha < 0) {
                throw new IllegalArgumentException("a sample at alpha " + sample.alpha() + ", seed " + sample.seed()
                        + ": expected one of alphas " + sweep.alphas() + " and seeds " + sweep.seeds());
            }
            grid[seed][alpha] = sample;
        }
        return grid;
    }

    /** The drop of a seed, if its structural score falls anywhere; else null. */
    static Drop drop(Interpolation sweep, long seed) {
        return sweep.drops().stream().filter(drop -> drop.seed() == seed && drop.ratio() > 1).findFirst().orElse(null);
    }

    static Map<String, Object> of(Interpolation sweep, Function<Sample, byte[]> thumbnails) {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("from", sweep.from());
        data.put("to", sweep.to());
        data.put("finding", sweep.finding());
        data.put("limits", sweep.limits());
        data.put("parameters", sweep.parameters());
        data.put("cliff", sweep.cliff());
        data.put("represented", represented(sweep));
        data.put("cliffRatio", Interpolation.CLIFF_RATIO);
        data.put("representedLogit", Interpolation.REPRESENTED_LOGIT);
        data.put("alphas", sweep.alphas());
        List<Object> runs = new ArrayList<>();
        Sample[][] grid = grid(sweep);
        for (int i = 0; i < grid.length; i++) {
            runs.add(run(sweep, sweep.seeds().get(i), grid[i], thumbnails));
        }
        data.put("runs", runs);
        return data;
    }

    private static Map<String, Object> run(Interpolation sweep, long seed, Sample[] row, Function<Sample, byte[]> thumbnails) {
        Map<String, Object> run = new LinkedHashMap<>();
        // A long may be more than a script's number can hold, and nobody calculates with seeds.
        run.put("seed", Long.toString(seed));
        Drop drop = drop(sweep, seed);
        run.put("drop", drop == null ? null : List.of(place(sweep, drop.before()), place(sweep, drop.after())));
        run.put("ratio", drop == null ? null : Json.rounded(drop.ratio()));
        run.put("structural", column(row, Sample::structural));
        run.put("clipFrom", column(row, Sample::clipFrom));
        run.put("clipTo", column(row, Sample::clipTo));
        run.put("clipLogit", column(row, Sample::clipLogit));
        run.put("noiseSigma", column(row, Sample::noiseSigma));
        run.put("blur", column(row, Sample::blur));
        run.put("colourEntropy", column(row, Sample::colourEntropy));
        run.put("step", column(row, Sample::step));
        run.put("pictures", column(row, sample -> picture(sample, thumbnails.apply(sample))));
        run.put("images", column(row, sample -> sample.image() != null && FILE_NAME.matcher(sample.image()).matches()
                ? sample.image() : null));
        return run;
    }

    static int place(Interpolation sweep, double alpha) {
        int place = sweep.alphas().indexOf(alpha);
        if (place < 0) {
            throw new IllegalArgumentException("a drop at alpha " + alpha + ": expected one of " + sweep.alphas());
        }
        return place;
    }

    private static List<Object> column(Sample[] row, Function<Sample, Object> field) {
        return Arrays.stream(row).map(sample -> {
            Object value = sample == null ? null : field.apply(sample);
            return value instanceof Double number ? Json.rounded(number) : value;
        }).toList();
    }

    private static String picture(Sample sample, byte[] png) {
        if (png == null) {
            return null;
        }
        if (png.length < PNG.length || Arrays.mismatch(png, 0, PNG.length, PNG, 0, PNG.length) >= 0) {
            throw new IllegalArgumentException("thumbnail of alpha " + sample.alpha() + ", seed " + sample.seed()
                    + ": expected a PNG file of at most " + Thumbnail.REPORT_SIDE + " pixels, found " + png.length
                    + " other bytes");
        }
        return "data:image/png;base64," + Base64.getEncoder().encodeToString(png);
    }
}
