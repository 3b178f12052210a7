package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Readings;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.apache.commons.statistics.descriptive.Median;

/** Finds the channels and tokens that carry each stream. Activations are summed where they are; sums are read once a forward. */
final class ChannelsObserver implements Observer, AutoCloseable {

    /**
     * What the rows of a pass stand for.
     *
     * @param groups of the text tokens
     * @param texts each text token's own
     * @param columns of the picture in latent tokens
     */
    record Rows(TokenGroups groups, List<String> texts, int columns) {

        /** Position of a row among the tokens of its kind, and what stands there. */
        ChannelCell.Part token(Point point, String stream, int row, double share, double timesMedian) {
            boolean image = stream.equals("image");
            int index = image && point.rows() == Point.Rows.JOINT ? row - groups.tokens() : row;
            String text = image ? "row " + index / columns + ", column " + index % columns : stream.equals(TokenStreams.ALL) ? "" : texts.get(index);
            return new ChannelCell.Part(index, text, share, timesMedian, false);
        }
    }

    private record Seen(Point point, int tokens, Readings.Reading moments, Readings.Reading channels) {
    }

    private final Readings readings;
    private final int prompt;
    private final long seed;
    private final Map<Pass, Rows> rows;
    private final Map<String, Point> points = new LinkedHashMap<>();
    private final int top;
    private final Massive massive;
    private final Consumer<ChannelCell> cells;
    private final List<Seen> seen = new ArrayList<>();

    /** @param readings the model's; closed with this */
    ChannelsObserver(Readings readings, int prompt, long seed, Map<Pass, Rows> rows, Set<Point> points, int top, Massive massive,
            Consumer<ChannelCell> cells) {
        this.readings = readings;
        this.prompt = prompt;
        this.seed = seed;
        this.rows = rows;
        this.top = top;
        this.massive = massive;
        this.cells = cells;
        points.forEach(point -> this.points.put(point.name(), point));
    }

    @Override
    public boolean wants(String point) {
        return points.containsKey(point);
    }

    @Override
    public void saw(int step, Pass pass, String name, Tensor tensor) {
        Point point = points.get(name);
        Tensor x = TokenStreams.rows(point, tensor);
        int tokens = (int) x.dim(1);
        seen.add(new Seen(point, tokens, readings.rowMoments(x, null),
                readings.channelEnergies(x, TokenStreams.bounds(TokenStreams.of(point, tokens, rows.get(pass).groups())))));
    }

    @Override
    public boolean queues() {
        return true;
    }

    @Override
    public void again() {
        seen.clear();
        readings.reuse();
    }

    @Override
    public void done(int step, Pass pass) {
        readings.finish();
        seen.forEach(each -> record(step, pass, each));
        again();
    }

    private void record(int step, Pass pass, Seen now) {
        Rows own = rows.get(pass);
        Map<String, TokenRows> streams = TokenStreams.of(now.point, now.tokens, own.groups());
        Map<String, double[]> channels = TokenStreams.channels(streams, now.channels);
        streams.forEach((stream, range) -> {
            if (streams.size() == 1 || !stream.equals(TokenStreams.ALL)) {
                cells.accept(cell(step, pass, now, own, stream, range.ranges().stream()
                        .flatMapToInt(each -> IntStream.range(each.from(), each.to())).toArray(), channels.get(stream)));
            }
        });
    }

    private ChannelCell cell(int step, Pass pass, Seen now, Rows own, String stream, int[] tokens, double[] channels) {
        double[] energies = IntStream.of(tokens).mapToDouble(row -> (double) now.moments.at(row, 0) + now.moments.at(row, 1)).toArray();
        // of a sum in which a few parts are nearly all, the rest is only exact if it is summed by itself
        int[] strongest = descending(channels);
        int[] leading = descending(energies);
        double medianRms = rms(Median.withDefaults().withCopy(true).evaluate(channels), tokens.length);
        boolean[] isMassive = new boolean[channels.length];
        int count = 0;
        for (int channel = 0; channel < channels.length; channel++) {
            isMassive[channel] = massive.is(rms(channels[channel], tokens.length), medianRms);
            count += isMassive[channel] ? 1 : 0;
        }
        double all = IntStream.of(strongest).mapToDouble(channel -> channels[channel]).sum();
        double others = IntStream.of(strongest).skip(top).mapToDouble(channel -> channels[channel]).sum();
        double ordinary = IntStream.of(strongest).filter(channel -> !isMassive[channel]).mapToDouble(channel -> channels[channel]).sum();
        List<ChannelCell.Part> topChannels = IntStream.of(strongest).limit(top).mapToObj(channel -> new ChannelCell.Part(channel, "",
                channels[channel] / all, rms(channels[channel], tokens.length) / medianRms, isMassive[channel])).toList();
        double medianEnergy = Median.withDefaults().withCopy(true).evaluate(energies);
        List<ChannelCell.Part> topTokens = IntStream.of(leading).limit(top).mapToObj(i -> own.token(now.point, stream, tokens[i],
                energies[i] / all, Math.sqrt(energies[i] / medianEnergy))).toList();
        return new ChannelCell(prompt, seed, step, pass.label(), now.point.name(), stream, tokens.length, channels.length, Math.sqrt(all),
                Math.sqrt(others), count, Math.sqrt(ordinary), topChannels, topTokens);
    }

    private static double rms(double energy, int tokens) {
        return Math.sqrt(energy / tokens);
    }

    /** Indices of the values, the largest first; equal ones in order. */
    private static int[] descending(double[] values) {
        return IntStream.range(0, values.length).boxed().sorted((a, b) -> Double.compare(values[b], values[a]))
                .mapToInt(Integer::intValue).toArray();
    }

    @Override
    public void close() {
        readings.close();
    }
}
