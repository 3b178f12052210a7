package dev.kleinscope.report;

import dev.kleinscope.analysis.Contrast;
import dev.kleinscope.analysis.Measure;
import dev.kleinscope.analysis.NormRow;
import dev.kleinscope.analysis.OriginalNorms;
import dev.kleinscope.analysis.PairedNorms;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a report's scripts draw, as a tree for {@link Json}. Rows are folded into one grid of steps by seeds for each point,
 * stream, measure and pass: written out as rows they would take several times the room.
 */
final class NormsData {

    private static final Pattern BLOCK = Pattern.compile("(single_)?transformer_blocks\\.(\\d+)(?:\\.(.+))?");
    private static final Pattern LAYER = Pattern.compile("(Double|Single)Stream_Layer_(\\d+)");

    private NormsData() {
    }

    private record Key(String point, String stream, String measure, String pass) {
    }

    private record Grid(double[][] safe, double[][] extreme) {

        static Grid of(int steps, int seeds) {
            return new Grid(unmeasured(steps, seeds), unmeasured(steps, seeds));
        }

        double[][] prompt(String prompt) {
            return switch (prompt) {
                case "safe" -> safe;
                case "extreme" -> extreme;
                default -> throw new IllegalArgumentException("prompt of a norm row: expected safe or extreme, found " + prompt);
            };
        }
    }

    static Map<String, Object> of(PairedNorms norms) {
        if (norms.rows().isEmpty() || norms.blocks().isEmpty()) {
            throw new IllegalArgumentException("report of a prompt pair: expected measured rows of at least one block, found "
                    + norms.rows().size() + " rows of " + norms.blocks().size() + " blocks; watch a block's output");
        }
        List<Integer> steps = List.copyOf(new TreeSet<>(norms.rows().stream().map(NormRow::step).toList()));
        List<Long> seeds = norms.rows().stream().map(NormRow::seed).distinct().toList();
        Map<Key, Grid> grids = new LinkedHashMap<>();
        for (NormRow row : norms.rows()) {
            Key key = new Key(row.point(), row.stream(), row.measure(), row.pass());
            grids.computeIfAbsent(key, _ -> Grid.of(steps.size(), seeds.size()))
                    .prompt(row.prompt())[steps.indexOf(row.step())][seeds.indexOf(row.seed())] = row.value();
        }
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("safe", norms.safe());
        data.put("extreme", norms.extreme());
        data.put("finding", norms.finding());
        data.put("limits", norms.limits());
        data.put("tokens", norms.tokens());
        data.put("parameters", norms.parameters());
        data.put("axis", axis(norms));
        data.put("blockOutputs", blockOutputs(norms));
        data.put("blocks", points(norms.blocks(), NormsData::axisLabel));
        data.put("branches", points(norms.branches(), NormsData::label));
        data.put("steps", steps);
        // A long may be more than a script's number can hold, and nobody calculates with seeds.
        data.put("seeds", seeds.stream().map(String::valueOf).toList());
        data.put("passes", norms.rows().stream().map(NormRow::pass).distinct().toList());
        data.put("measures", Arrays.stream(Measure.values()).map(NormsData::measure).toList());
        data.put("series", grids.entrySet().stream().map(e -> series(e.getKey(), e.getValue())).toList());
        data.put("contrasts", contrasts(norms.contrasts(), steps));
        return data;
    }

    static Map<String, Object> of(OriginalNorms norms) {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("finding", norms.finding());
        data.put("defects", norms.defects());
        data.put("parameters", norms.parameters());
        data.put("threshold", OriginalNorms.THRESHOLD);
        data.put("spikes", norms.spikes());
        List<Object> layers = new ArrayList<>();
        for (OriginalNorms.Layer layer : norms.layers()) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("layer", layer.layer());
            entry.put("label", label(layer.layer()));
            entry.put("safe", Json.rounded(layer.safeAvg()));
            entry.put("extreme", Json.rounded(layer.extremeAvg()));
            entry.put("calls", layer.safe().size());
            layers.add(entry);
        }
        data.put("layers", layers);
        return data;
    }

    /** D4 for the fifth double block, S19 for the last single one, as on the figures' axes; other names stay. */
    static String label(String point) {
        Matcher block = BLOCK.matcher(point);
        if (block.matches()) {
            return (block.group(1) == null ? "D" : "S") + block.group(2);
        }
        Matcher layer = LAYER.matcher(point);
        return layer.matches() ? layer.group(1).charAt(0) + layer.group(2) : point;
    }

    /** As {@link #label}, but only a block's output stands for the block: its parts and other points keep names of their own. */
    static String axisLabel(String point) {
        Matcher block = BLOCK.matcher(point);
        return block.matches() && !blockOutput(block) ? label(point) + "." + block.group(3) : label(point);
    }

    private static boolean blockOutput(Matcher block) {
        return block.group(3) == null || block.group(3).equals("img") || block.group(3).equals("txt");
    }

    private static List<String> axis(PairedNorms norms) {
        return norms.blocks().stream().map(NormsData::axisLabel).distinct().toList();
    }

    /** Whether the measured points are outputs of blocks, and not just any points. */
    private static boolean blockOutputs(PairedNorms norms) {
        return norms.blocks().stream().map(BLOCK::matcher).allMatch(block -> block.matches() && blockOutput(block));
    }

    private static List<Object> points(List<String> names, UnaryOperator<String> label) {
        List<Object> points = new ArrayList<>();
        for (String name : names) {
            Matcher block = BLOCK.matcher(name);
            Map<String, Object> point = new LinkedHashMap<>();
            point.put("point", name);
            point.put("label", label.apply(name));
            point.put("part", block.matches() && block.group(3) != null ? block.group(3) : "");
            points.add(point);
        }
        return points;
    }

    private static Map<String, Object> measure(Measure measure) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("symbol", measure.symbol());
        entry.put("title", measure.title());
        entry.put("byRatio", measure.comparedByRatio());
        return entry;
    }

    private static Map<String, Object> series(Key key, Grid grid) {
        Map<String, Object> series = key(key);
        series.put("safe", rounded(grid.safe()));
        series.put("extreme", rounded(grid.extreme()));
        return series;
    }

    private static List<Object> contrasts(List<Contrast> contrasts, List<Integer> steps) {
        Map<Key, double[]> grids = new LinkedHashMap<>();
        for (Contrast contrast : contrasts) {
            Key key = new Key(contrast.point(), contrast.stream(), contrast.measure().symbol(), contrast.pass());
            double[] d = grids.computeIfAbsent(key, _ -> unmeasured(1, steps.size())[0]);
            int step = steps.indexOf(contrast.step());
            if (step < 0) {
                throw new IllegalArgumentException(contrast.point() + ": a contrast at step " + contrast.step()
                        + ", but rows only at steps " + steps);
            }
            d[step] = contrast.d();
        }
        List<Object> entries = new ArrayList<>();
        grids.forEach((key, d) -> {
            Map<String, Object> entry = key(key);
            entry.put("d", Arrays.stream(d).mapToObj(Json::rounded).toList());
            entries.add(entry);
        });
        return entries;
    }

    private static Map<String, Object> key(Key key) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("point", key.point());
        entry.put("stream", key.stream());
        entry.put("measure", key.measure());
        entry.put("pass", key.pass());
        return entry;
    }

    private static double[][] unmeasured(int rows, int columns) {
        double[][] grid = new double[rows][columns];
        for (double[] row : grid) {
            Arrays.fill(row, Double.NaN);
        }
        return grid;
    }

    private static List<List<Object>> rounded(double[][] grid) {
        return Arrays.stream(grid).map(row -> Arrays.stream(row).mapToObj(Json::rounded).toList()).toList();
    }
}
