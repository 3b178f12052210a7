package dev.kleinscope.analysis;

import java.util.Arrays;
import org.apache.commons.statistics.descriptive.Median;

/**
 * Sums over some tokens of an activation, in f64.
 *
 * @param tokens how many
 * @param medianNorm median of the tokens' L2 norms
 * @param energy sum of squares
 * @param topShare share of the energy in the four strongest channels
 */
record StreamStats(int tokens, double medianNorm, double energy, double topShare) {

    private static final int TOP = 4;

    /**
     * @param energies each row's sum of squares
     * @param rows which rows belong to the stream
     * @param byChannel the stream's sum of squares in each channel
     */
    static StreamStats of(double[] energies, TokenRows rows, double[] byChannel) {
        double[] norms = new double[rows.count()];
        double energy = 0;
        int index = 0;
        for (TokenRows.Range range : rows.ranges()) {
            for (int row = range.from(); row < range.to(); row++) {
                norms[index++] = Math.sqrt(energies[row]);
                energy += energies[row];
            }
        }
        double[] sorted = byChannel.clone();
        Arrays.sort(sorted);
        double top = 0;
        for (int c = Math.max(0, sorted.length - TOP); c < sorted.length; c++) {
            top += sorted[c];
        }
        return new StreamStats(norms.length, Median.withDefaults().evaluate(norms), energy, top / energy);
    }

    /**
     * What a block did to a stream.
     *
     * @param update {@code ||out - in|| / ||in||}
     * @param cosine {@code cos(in, out)}
     */
    record Change(double update, double cosine) {

        /** Each array holds a sum for each row: squares before and after, squared changes, products. */
        static Change of(double[] in, double[] out, double[] changes, double[] products, TokenRows rows) {
            double energy = sum(in, rows);
            return new Change(Math.sqrt(sum(changes, rows) / energy), sum(products, rows) / Math.sqrt(energy * sum(out, rows)));
        }

        private static double sum(double[] values, TokenRows rows) {
            double sum = 0;
            for (TokenRows.Range range : rows.ranges()) {
                for (int row = range.from(); row < range.to(); row++) {
                    sum += values[row];
                }
            }
            return sum;
        }
    }
}
