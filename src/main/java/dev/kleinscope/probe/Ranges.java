package dev.kleinscope.probe;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Whole numbers from 0, as ranges with both ends in; written {@code 0-3+8}.
 *
 * @param parts ascending and apart; empty means all
 */
public record Ranges(List<Part> parts) {

    /** No restriction. */
    public static final Ranges ALL = new Ranges(List.of());

    /** From {@code first} to {@code last}, both in. */
    public record Part(int first, int last) {
    }

    /** @throws InterventionException if a range is empty or negative, or two overlap */
    public Ranges {
        parts = List.copyOf(parts);
        int after = -1;
        for (Part part : parts) {
            if (part.first <= after || part.last < part.first) {
                throw new InterventionException("ranges: expected ascending numbers from 0 such as 0-3+8, found "
                        + parts.stream().map(each -> each.first + "-" + each.last).collect(Collectors.joining("+")));
            }
            after = part.last;
        }
    }

    /** @throws InterventionException unless it reads like {@code 0-3+8} */
    public static Ranges parse(String text) {
        List<Part> parts = new ArrayList<>();
        for (String part : text.split("\\+", -1)) {
            if (!part.matches("[0-9]{1,9}(-[0-9]{1,9})?")) {
                throw new InterventionException("\"" + text + "\": expected numbers from 0 and ranges of them, such as 0-3+8");
            }
            String[] ends = part.split("-");
            parts.add(new Part(Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1])));
        }
        return new Ranges(parts);
    }

    /** Whether nothing is left out. */
    public boolean all() {
        return parts.isEmpty();
    }

    /** Whether a number, from 0, is in. */
    public boolean contains(int number) {
        return all() || parts.stream().anyMatch(part -> part.first <= number && number <= part.last);
    }

    /** The largest number in; -1 for all. */
    public int last() {
        return all() ? -1 : parts.getLast().last;
    }

    @Override
    public String toString() {
        return all() ? "all" : parts.stream().map(part -> part.first == part.last ? "" + part.first : part.first + "-" + part.last)
                .collect(Collectors.joining("+"));
    }
}
