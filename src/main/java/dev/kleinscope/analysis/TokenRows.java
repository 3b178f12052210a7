package dev.kleinscope.analysis;

import java.util.ArrayList;
import java.util.List;

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
}
