package dev.kleinscope.pipeline.intervene;

import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.Ranges;
import dev.kleinscope.probe.TokenStream;
import java.util.ArrayList;
import java.util.List;

/** Neighbouring rows or channels: {@code from} up to but without {@code to}. */
record Span(int from, int to) {

    int size() {
        return to - from;
    }

    static int sum(List<Span> spans) {
        return spans.stream().mapToInt(Span::size).sum();
    }

    /**
     * Rows of a point that belong to a stream; none where the point has no such tokens.
     *
     * @param groups what the prompt's positions hold; null if nobody knows
     */
    static List<Span> of(Point.Rows rows, TokenStream stream, TokenGroups groups, int imgTokens, int txtTokens) {
        int img = rows == Point.Rows.JOINT ? txtTokens : 0;
        boolean image = rows == Point.Rows.IMG || rows == Point.Rows.JOINT;
        boolean text = rows == Point.Rows.TXT || rows == Point.Rows.JOINT;
        List<Span> spans = new ArrayList<>();
        switch (stream) {
            case ALL -> spans.add(new Span(0, rows == Point.Rows.NONE ? Integer.MAX_VALUE : (text ? txtTokens : 0) + (image ? imgTokens : 0)));
            case IMAGE -> spans.add(new Span(img, image ? img + imgTokens : img));
            case TEXT -> spans.add(new Span(0, text ? txtTokens : 0));
            default -> {
                if (text && groups == null) {
                    throw new InterventionException("stream=" + stream.label() + ": embeddings from a file, or blended of prompts of "
                            + "different length, do not tell which positions hold it; choose stream=text or stream=image");
                }
                if (text && stream == TokenStream.PROMPT) {
                    spans.add(new Span(groups.promptFrom(), groups.promptTo()));
                } else if (text && stream == TokenStream.TEMPLATE) {
                    spans.add(new Span(0, groups.promptFrom()));
                    spans.add(new Span(groups.promptTo(), groups.valid()));
                } else if (text) {
                    spans.add(new Span(groups.valid(), groups.tokens()));
                }
            }
        }
        return spans.stream().filter(span -> span.size() > 0).toList();
    }

    /** What ranges, counted along the spans, pick of them. Numbers beyond their end pick nothing. */
    static List<Span> pick(List<Span> spans, Ranges ranges) {
        if (ranges.all()) {
            return spans;
        }
        List<Span> picked = new ArrayList<>();
        for (Ranges.Part part : ranges.parts()) {
            int before = 0;
            for (Span span : spans) {
                int from = Math.max(part.first() - before, 0);
                int to = Math.min(part.last() + 1 - before, span.size());
                if (to > from) {
                    picked.add(new Span(span.from + from, span.from + to));
                }
                before += span.size();
            }
        }
        return picked;
    }
}
