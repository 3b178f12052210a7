package dev.kleinscope.analysis;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** Rows of an activation that belong to a stream. */
record TokenRows(List<Range> ranges) {

    record Range(int from, int to) {
    }

    static TokenRows of(int... bounds) {
        List<Range> ranges = new ArrayList<>();
        for (int i = 0; i < bounds.length; i += 2) {
            if (bounds[i + 1] > bounds[i]) {
                ranges.add(new Range(bounds[i], bounds[i + 1]));
            }
        }
        return new TokenRows(List.copyOf(ranges));
    }

    int count() {
        return ranges.stream().mapToInt(range -> range.to - range.from).sum();
    }

    int[] indices() {
        return ranges.stream().flatMapToInt(range -> IntStream.range(range.from, range.to)).toArray();
    }

    /** The same rows in an activation where {@code rows} others precede them. */
    TokenRows after(int rows) {
        return new TokenRows(ranges.stream().map(range -> new Range(range.from + rows, range.to + rows)).toList());
    }
}
