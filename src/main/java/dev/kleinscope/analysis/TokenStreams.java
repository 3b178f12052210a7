package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Readings;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/** Which rows of an activation are the image's, the prompt's, its template's and padding. */
final class TokenStreams {

    /** All of a point's tokens. */
    static final String ALL = "all";

    private TokenStreams() {
    }

    /** [1, tokens, channels], whatever the point's own shape. */
    static Tensor rows(Point point, Tensor tensor) {
        int rank = tensor.shape().rank();
        if (point.rows() != Point.Rows.NONE && rank > 2 && tensor.dim(0) != 1) {
            throw new IllegalArgumentException(point.name() + ": sums are taken of one picture at a time, found " + tensor.shape());
        }
        if (point.rows() != Point.Rows.NONE && rank == 3) {
            return tensor;
        }
        long tokens = point.rows() == Point.Rows.NONE ? 1 : tensor.dim(rank == 2 ? 0 : 1);
        return tensor.reshape(1, tokens, tensor.shape().elements() / tokens);
    }

    /** Streams of a point that have tokens; "all" where there is more than one kind, so that energies can be added up. */
    static Map<String, TokenRows> of(Point point, int tokens, TokenGroups groups) {
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
    static int[] bounds(Map<String, TokenRows> streams) {
        return streams.entrySet().stream().filter(stream -> streams.size() == 1 || !stream.getKey().equals(ALL))
                .flatMap(stream -> stream.getValue().ranges().stream())
                .flatMapToInt(range -> IntStream.of(range.from(), range.to())).toArray();
    }

    /** Each stream's energy by channel, from those of {@link #bounds}; the whole is the sum of its parts. */
    static Map<String, double[]> channels(Map<String, TokenRows> streams, Readings.Reading energies) {
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
}
