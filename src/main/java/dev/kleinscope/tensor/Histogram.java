package dev.kleinscope.tensor;

import java.util.Locale;

/**
 * How a tensor's values are distributed.
 *
 * @param name the tensor's
 * @param edges of the bins, ascending, one more than there are bins; a bin holds its lower edge, the last one its upper edge too
 * @param counts values in each bin
 * @param below values under the first edge
 * @param above values over the last edge
 * @param notFinite NaN and infinite values
 */
public record Histogram(String name, double[] edges, long[] counts, long below, long above, long notFinite) {

    private static final int BAR = 40;
    private static final int MOST_BINS = 1 << 16;

    /** Between the smallest and the largest finite value. */
    static Histogram of(Tensor tensor, int bins) {
        double[] range = {Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY};
        Pieces.of(tensor, (at, values, count) -> {
            for (int i = 0; i < count; i++) {
                if (Float.isFinite(values[i])) {
                    range[0] = Math.min(range[0], values[i]);
                    range[1] = Math.max(range[1], values[i]);
                }
            }
            return true;
        });
        if (range[0] > range[1]) {
            return of(tensor, bins, 0, 1);
        }
        double margin = range[0] < range[1] ? 0 : Math.max(0.5, Math.abs(range[0]) / 2);
        return of(tensor, bins, range[0] - margin, range[1] + margin);
    }

    /** @throws IllegalArgumentException if there is no bin, or nothing between the bounds */
    static Histogram of(Tensor tensor, int bins, double from, double to) {
        if (bins < 1 || bins > MOST_BINS || !(from < to) || !Double.isFinite(to - from)) {
            throw new IllegalArgumentException("a histogram of " + bins + " bins from " + from + " to " + to + ": expected 1 to "
                    + MOST_BINS + " bins and finite, ascending bounds");
        }
        double[] edges = new double[bins + 1];
        for (int i = 0; i <= bins; i++) {
            edges[i] = i == bins ? to : from + (to - from) * i / bins;
        }
        long[] counts = new long[bins];
        long[] outside = new long[3];
        Pieces.of(tensor, (at, values, count) -> {
            for (int i = 0; i < count; i++) {
                float value = values[i];
                if (!Float.isFinite(value)) {
                    outside[2]++;
                } else if (value < from || value > to) {
                    outside[value < from ? 0 : 1]++;
                } else {
                    counts[bin(value, edges)]++;
                }
            }
            return true;
        });
        return new Histogram(tensor.name(), edges, counts, outside[0], outside[1], outside[2]);
    }

    /** The division may round to a neighbour. */
    private static int bin(double value, double[] edges) {
        int last = edges.length - 2;
        int bin = Math.min(last, (int) ((value - edges[0]) / (edges[last + 1] - edges[0]) * (last + 1)));
        while (value < edges[bin]) {
            bin--;
        }
        while (bin < last && value >= edges[bin + 1]) {
            bin++;
        }
        return bin;
    }

    /** A line a bin, its bar as long as the logarithm of its count. */
    @Override
    public String toString() {
        long most = 1;
        for (long count : counts) {
            most = Math.max(most, count);
        }
        StringBuilder text = new StringBuilder(name).append(", bars logarithmic");
        for (int i = 0; i < counts.length; i++) {
            int bar = (int) Math.ceil(BAR * Math.log1p(counts[i]) / Math.log1p(most));
            text.append(String.format(Locale.ROOT, "%n%11.4g to %11.4g |%-" + BAR + "s %d", edges[i], edges[i + 1],
                    "#".repeat(bar), counts[i]));
        }
        if (below + above + notFinite > 0) {
            text.append(String.format(Locale.ROOT, "%n%d below, %d above, %d not finite", below, above, notFinite));
        }
        return text.toString();
    }
}
