package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Readings;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Measures the residual stream and its branches during one run.
 *
 * <p>A block's change is measured against the residual stream as the block before left it, so all block outputs are
 * watched as soon as one is measured. Activations are summed where they are; sums are read once a forward.
 */
final class NormsObserver implements Observer, AutoCloseable {

    private static final String ALL = "all";

    /** Columns of {@link Readings#rowMoments}: pairs. */
    private static final int ENERGY = 0;
    private static final int CHANGE = 2;
    private static final int PRODUCT = 4;

    private final String prompt;
    private final long seed;
    private final Map<Pass, TokenGroups> groups;
    private final Map<String, Point> measured = new LinkedHashMap<>();
    private final Map<String, Point> followed = new LinkedHashMap<>();
    private final List<NormRow> rows;
    private final Readings readings;
    private final List<Seen> seen = new ArrayList<>();
    private List<Seen> residual = List.of();

    /**
     * An activation of the forward under way.
     *
     * @param x [1, tokens, channels]; a residual stream's lives until the next block has been seen
     * @param before the residual stream that a block changed: all rows, or those of the text and those of the image; else empty
     * @param moments of its rows, in order, in as many parts as {@code before} has
     * @param channels energies of every range of rows of every stream but {@link #ALL}; null if not measured
     */
    private record Seen(Point point, Tensor x, List<Seen> before, List<Readings.Reading> moments, Readings.Reading channels) {

        double[] sums(int column) {
            double[] sums = new double[moments.stream().mapToInt(Readings.Reading::rows).sum()];
            int index = 0;
            for (Readings.Reading part : moments) {
                for (int row = 0; row < part.rows(); row++) {
                    sums[index++] = (double) part.at(row, column) + part.at(row, column + 1);
                }
            }
            return sums;
        }
    }

    /** @param readings the model's; closed with this */
    NormsObserver(Readings readings, String prompt, long seed, Map<Pass, TokenGroups> groups, PointCatalog catalog, Set<Point> points,
            List<NormRow> rows) {
        this.prompt = prompt;
        this.seed = seed;
        this.groups = groups;
        this.rows = rows;
        this.readings = readings;
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
        Point point = measured.getOrDefault(name, followed.get(name));
        Tensor x = rows(point, tensor);
        boolean measures = measured.containsKey(name);
        List<Seen> before = measures && point.role() == Point.Role.BLOCK ? before(point) : List.of();
        List<Readings.Reading> moments = new ArrayList<>();
        long row = 0;
        for (Seen part : before) {
            long end = row + part.x.dim(1);
            moments.add(readings.rowMoments(x.slice(1, row, end), part.x));
            row = end;
        }
        if (before.isEmpty()) {
            moments.add(readings.rowMoments(x, null));
        }
        Readings.Reading channels = measures
                ? readings.channelEnergies(x, bounds(streams(point, (int) x.dim(1), groups.get(pass)))) : null;
        Seen now = new Seen(point, x, before, moments, channels);
        seen.add(now);
        if (followed.containsKey(name)) {
            follow(now);
        }
    }

    /** [1, tokens, channels], whatever the point's own shape. */
    private static Tensor rows(Point point, Tensor tensor) {
        int rank = tensor.shape().rank();
        if (point.rows() != Point.Rows.NONE && rank > 2 && tensor.dim(0) != 1) {
            throw new IllegalArgumentException(point.name() + ": norms are taken of one picture at a time, found " + tensor.shape());
        }
        if (point.rows() != Point.Rows.NONE && rank == 3) {
            return tensor;
        }
        long tokens = point.rows() == Point.Rows.NONE ? 1 : tensor.dim(rank == 2 ? 0 : 1);
        return tensor.reshape(1, tokens, tensor.shape().elements() / tokens);
    }

    /** The residual stream that a block found, in the order of the rows that it left. */
    private List<Seen> before(Point block) {
        return block.rows() == Point.Rows.JOINT ? residual
                : residual.stream().filter(part -> part.point.rows() == block.rows()).toList();
    }

    /** A joint stream replaces both of its halves; text comes first. */
    private void follow(Seen now) {
        if (now.point.rows() == Point.Rows.JOINT) {
            residual = List.of(now);
            return;
        }
        List<Seen> next = new ArrayList<>(residual);
        next.removeIf(part -> part.point.rows() == now.point.rows() || part.point.rows() == Point.Rows.JOINT);
        next.add(now.point.rows() == Point.Rows.TXT ? 0 : next.size(), now);
        residual = next;
    }

    @Override
    public boolean queues() {
        return true;
    }

    @Override
    public void again() {
        seen.clear();
        residual = List.of();
        readings.reuse();
    }

    @Override
    public void done(int step, Pass pass) {
        readings.finish();
        for (Seen each : seen) {
            if (each.channels != null) {
                record(step, pass, each);
            }
        }
        again();
    }

    private void record(int step, Pass pass, Seen now) {
        double[] energies = now.sums(ENERGY);
        Map<String, TokenRows> streams = streams(now.point, energies.length, groups.get(pass));
        Map<String, double[]> channels = channels(streams, now.channels);
        double[] changes = now.before.isEmpty() ? null : now.sums(CHANGE);
        double[] products = now.before.isEmpty() ? null : now.sums(PRODUCT);
        double[] found = now.before.stream().flatMapToDouble(part -> Arrays.stream(part.sums(ENERGY))).toArray();
        streams.forEach((stream, tokens) -> {
            Recorder recorder = new Recorder(step, pass, now.point.name(), stream);
            StreamStats stats = StreamStats.of(energies, tokens, channels.get(stream));
            recorder.add(Measure.MEDIAN_NORM, stats.medianNorm());
            recorder.add(Measure.STREAM_NORM, Math.sqrt(stats.energy()));
            recorder.add(Measure.TOP_CHANNELS, stats.topShare());
            if (changes != null && !stream.equals(ALL)) {
                StreamStats.Change change = StreamStats.Change.of(found, energies, changes, products, tokens);
                recorder.add(Measure.UPDATE, change.update());
                recorder.add(Measure.COSINE, change.cosine());
            }
        });
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

    /** Ranges of the streams that make up the whole, one after the other. */
    private static int[] bounds(Map<String, TokenRows> streams) {
        return streams.entrySet().stream().filter(stream -> streams.size() == 1 || !stream.getKey().equals(ALL))
                .flatMap(stream -> stream.getValue().ranges().stream())
                .flatMapToInt(range -> IntStream.of(range.from(), range.to())).toArray();
    }

    /** Each stream's energy by channel, from those of {@link #bounds}; the whole is the sum of its parts. */
    private static Map<String, double[]> channels(Map<String, TokenRows> streams, Readings.Reading energies) {
        Map<String, double[]> channels = new LinkedHashMap<>();
        double[] whole = new double[energies.columns()];
        int range = 0;
        for (Map.Entry<String, TokenRows> stream : streams.entrySet()) {
            if (stream.getKey().equals(ALL) && streams.size() > 1) {
                continue;
            }
            double[] sums = new double[whole.length];
            for (int i = 0; i < stream.getValue().ranges().size(); i++, range++) {
                for (int channel = 0; channel < sums.length; channel++) {
                    sums[channel] += energies.at(range, channel);
                    whole[channel] += energies.at(range, channel);
                }
            }
            channels.put(stream.getKey(), sums);
        }
        channels.put(ALL, whole);
        return channels;
    }

    @Override
    public void close() {
        readings.close();
    }

    private final class Recorder {

        private final int step;
        private final Pass pass;
        private final String point;
        private final String stream;

        Recorder(int step, Pass pass, String point, String stream) {
            this.step = step;
            this.pass = pass;
            this.point = point;
            this.stream = stream;
        }

        void add(Measure measure, double value) {
            rows.add(new NormRow(prompt, seed, step, pass.label(), point, stream, measure.symbol(), value));
        }
    }
}
