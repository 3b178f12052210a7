package dev.kleinscope.analysis;

import java.util.Arrays;
import org.apache.commons.statistics.descriptive.Median;

/**
 * Sums over some tokens of an activation, accumulated in f64.
 *
 * @param tokens how many
 * @param medianNorm median of the tokens' L2 norms
 * @param energy sum of squares
 * @param topShare share of the energy in the four strongest channels
 */
record StreamStats(int tokens, double medianNorm, double energy, double topShare) {

    private static final int TOP = 4;

    /**
     * @param values row-major rows of {@code channels}
     * @param rows which rows belong to the stream
     */
    static StreamStats of(float[] values, int channels, TokenRows rows) {
        double[] norms = new double[rows.count()];
        double[] byChannel = new double[channels];
        double energy = 0;
        int index = 0;
        for (TokenRows.Range range : rows.ranges()) {
            for (int row = range.from(); row < range.to(); row++) {
                double sum = 0;
                int at = row * channels;
                for (int c = 0; c < channels; c++) {
                    double square = (double) values[at + c] * values[at + c];
                    byChannel[c] += square;
                    sum += square;
                }
                norms[index++] = Math.sqrt(sum);
                energy += sum;
            }
        }
        double median = Median.withDefaults().evaluate(norms);
        Arrays.sort(byChannel);
        double top = 0;
        for (int c = Math.max(0, channels - TOP); c < channels; c++) {
            top += byChannel[c];
        }
        return new StreamStats(norms.length, median, energy, top / energy);
    }

    /**
     * What a block did to a stream.
     *
     * @param update {@code ||out - in|| / ||in||}
     * @param cosine {@code cos(in, out)}
     */
    record Change(double update, double cosine) {

        static Change of(float[] in, TokenRows inRows, float[] out, TokenRows outRows, int channels) {
            double inEnergy = 0;
            double outEnergy = 0;
            double difference = 0;
            double dot = 0;
            int[] from = inRows.indices();
            int[] to = outRows.indices();
            for (int i = 0; i < from.length; i++) {
                int a = from[i] * channels;
                int b = to[i] * channels;
                for (int c = 0; c < channels; c++) {
                    double x = in[a + c];
                    double y = out[b + c];
                    inEnergy += x * x;
                    outEnergy += y * y;
                    dot += x * y;
                    difference += (y - x) * (y - x);
                }
            }
            return new Change(Math.sqrt(difference / inEnergy), dot / Math.sqrt(inEnergy * outEnergy));
        }
    }
}
