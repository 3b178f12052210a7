package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Measures the residual stream and its branches during one run.
 *
 * <p>A block's change is measured against the residual stream as the block before left it, so all block outputs are
 * watched as soon as one is measured.
 */
final class NormsObserver implements Observer {

    /** One stream of the residual as a block left it: rows of an activation. */
    private record Residual(float[] values, TokenRows rows) {
    }

    private static final String ALL = "all";

    private final String prompt;
    private final long seed;
    private final Map<Pass, TokenGroups> groups;
    private final Map<String, Point> measured = new LinkedHashMap<>();
    private final Map<String, Point> followed = new LinkedHashMap<>();
    private final List<NormRow> rows;
    private final Map<String, Residual> residuals = new LinkedHashMap<>();

    NormsObserver(String prompt, long seed, Map<Pass, TokenGroups> groups, PointCatalog catalog, Set<Point> points, List<NormRow> rows) {
        this.prompt = prompt;
        this.seed = seed;
        this.groups = groups;
        this.rows = rows;
        points.forEach(point -> measured.put(point.name(), point));
        if (points.stream().anyMatch(point -> point.role() == Point.Role.BLOCK)) {
            catalog.points().stream().filter(point -> point.role() == Point.Role.BLOCK || point.role() == Point.Role.EMBEDDER)
                    .forEach(point -> followed.put(point.name(), point));
        }
    }

    @Override
    public boolean wants(String point) {
        return measured.containsKey(point) || followed.containsKey(point);
    }

    @Override
    public void saw(int step, Pass pass, String name, Tensor tensor) {
        HostTensor host = tensor.toHost();
        Point point = measured.getOrDefault(name, followed.get(name));
        int tokens = tokens(point, host);
        int channels = host.values().length / tokens;
        Map<String, TokenRows> streams = streams(point, tokens, groups.get(pass));
        if (measured.containsKey(name)) {
            Recorder recorder = new Recorder(step, pass, name);
            streams.forEach((stream, rows) -> measure(recorder, point, stream, rows, host.values(), channels));
        }
        if (followed.containsKey(name)) {
            streams.forEach((stream, rows) -> residuals.put(stream, new Residual(host.values(), rows)));
        }
    }

    private void measure(Recorder recorder, Point point, String stream, TokenRows tokens, float[] values, int channels) {
        StreamStats stats = StreamStats.of(values, channels, tokens);
        recorder.add(stream, Measure.MEDIAN_NORM, stats.medianNorm());
        recorder.add(stream, Measure.STREAM_NORM, Math.sqrt(stats.energy()));
        recorder.add(stream, Measure.TOP_CHANNELS, stats.topShare());
        if (point.role() == Point.Role.BLOCK && !stream.equals(ALL)) {
            Residual before = residuals.get(stream);
            StreamStats.Change change = StreamStats.Change.of(before.values, before.rows, values, tokens, channels);
            recorder.add(stream, Measure.UPDATE, change.update());
            recorder.add(stream, Measure.COSINE, change.cosine());
        }
    }

    /** Streams of a point that have tokens; "all" where there is more than one kind, so that energies can be added up. */
    private static Map<String, TokenRows> streams(Point point, int tokens, TokenGroups groups) {
        Map<String, TokenRows> streams = new LinkedHashMap<>();
        switch (point.rows()) {
            case IMG -> streams.put("image", TokenRows.of(0, tokens));
            case NONE -> streams.put(ALL, TokenRows.of(0, tokens));
            case TXT, JOINT -> {
                streams.put("image", TokenRows.of(groups.tokens(), tokens));
                streams.put("prompt", TokenRows.of(groups.promptFrom(), groups.promptTo()));
                streams.put("template", TokenRows.of(0, groups.promptFrom(), groups.promptTo(), groups.valid()));
                streams.put("padding", TokenRows.of(groups.valid(), groups.tokens()));
                streams.put(ALL, TokenRows.of(0, tokens));
            }
        }
        streams.values().removeIf(rows -> rows.count() == 0);
        return streams;
    }

    /** Rows of the token dimension: the first of [tokens, ..], the second of [1, tokens, ..]. */
    private static int tokens(Point point, HostTensor host) {
        return point.rows() == Point.Rows.NONE ? 1 : (int) host.shape().dim(host.shape().rank() == 2 ? 0 : 1);
    }

    private final class Recorder {

        private final int step;
        private final Pass pass;
        private final String point;

        Recorder(int step, Pass pass, String point) {
            this.step = step;
            this.pass = pass;
            this.point = point;
        }

        void add(String stream, Measure measure, double value) {
            rows.add(new NormRow(prompt, seed, step, pass.label(), point, stream, measure.symbol(), value));
        }
    }
}
