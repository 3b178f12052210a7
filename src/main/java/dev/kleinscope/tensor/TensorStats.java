package dev.kleinscope.tensor;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * What a tensor's values are like. All figures are of its finite values, summed in f64.
 *
 * @param name the tensor's
 * @param shape the tensor's
 * @param norm L2 norm
 * @param mean 0 if no value is finite
 * @param std standard deviation, divided by the count
 * @param min smallest value; NaN if none is finite
 * @param max largest value; NaN if none is finite
 * @param nans how many values are no number
 * @param infinities how many are infinite
 * @param topChannels the indices of the last dimension that carry most of the energy, up to eight, strongest first
 * @param topTokens likewise the rows, as {@link Tensor#row} counts them
 */
public record TensorStats(String name, Shape shape, double norm, double mean, double std, double min, double max, long nans,
        long infinities, List<Share> topChannels, List<Share> topTokens) {

    private static final int TOP = 8;

    /**
     * How much one channel or token carries.
     *
     * @param index which one
     * @param share of the sum of squares, 0 to 1
     */
    public record Share(long index, double share) {

        @Override
        public String toString() {
            return String.format(Locale.ROOT, "%d: %.1f%%", index, 100 * share);
        }
    }

    /** @throws IllegalStateException if the tensor cannot be read */
    static TensorStats of(Tensor tensor) {
        Sums sums = new Sums(tensor);
        Pieces.of(tensor, sums);
        return sums.stats();
    }

    /** L2 norm without the strongest channels, so many of {@link #topChannels}. */
    public double normWithout(int channels) {
        double share = topChannels.stream().limit(channels).mapToDouble(Share::share).sum();
        return norm * Math.sqrt(Math.max(0, 1 - share));
    }

    @Override
    public String toString() {
        String spoiled = nans + infinities == 0 ? "" : ", besides " + nans + " NaN and " + infinities + " infinite";
        return String.format(Locale.ROOT, "%s %s: norm %.6g, mean %.4g, std %.4g, min %.4g, max %.4g%s%n"
                + "  energy by channel: %s; without the first 4: norm %.6g%n  energy by token: %s",
                name, shape, norm, mean, std, min, max, spoiled, list(topChannels), normWithout(4), list(topTokens));
    }

    private static String list(List<Share> shares) {
        return shares.stream().map(Share::toString).collect(Collectors.joining(", "));
    }

    private static final class Sums implements Pieces.Reader {

        private static final Comparator<Share> STRONGEST = Comparator.comparingDouble(Share::share).reversed()
                .thenComparingLong(Share::index);

        private final Tensor tensor;
        private final Moments moments = new Moments();
        private final double[] channels;
        private final double[] part;
        private final List<Share> tokens = new ArrayList<>();
        private double token;

        Sums(Tensor tensor) {
            this.tensor = tensor;
            channels = new double[tensor.shape().rank() == 0 ? 1 : Math.toIntExact(tensor.dim(-1))];
            part = new double[channels.length];
        }

        @Override
        public boolean read(long at, float[] values, int count) {
            for (int done = 0; done < count;) {
                int channel = (int) ((at + done) % channels.length);
                int length = Math.min(channels.length - channel, count - done);
                row(values, done, length, channel);
                done += length;
                if (channel + length == channels.length) {
                    offer(new Share((at + done - 1) / channels.length, token));
                    token = 0;
                }
            }
            return true;
        }

        private void row(float[] values, int from, int length, int channel) {
            for (int i = 0; i < length; i++) {
                double value = values[from + i];
                double energy = Double.isFinite(value) ? value * value : 0;
                token += energy;
                channels[channel + i] += energy;
                part[i] = value;
            }
            moments.add(part, length);
        }

        private void offer(Share candidate) {
            if (tokens.size() == TOP) {
                if (candidate.share <= tokens.getLast().share) {
                    return;
                }
                tokens.removeLast();
            }
            tokens.add(candidate);
            tokens.sort(STRONGEST);
        }

        TensorStats stats() {
            List<Share> strongest = new ArrayList<>();
            for (int i = 0; i < channels.length; i++) {
                strongest.add(new Share(i, channels[i]));
            }
            strongest.sort(STRONGEST);
            boolean none = moments.count() == 0;
            return new TensorStats(tensor.name(), tensor.shape(), Math.sqrt(moments.squares()), moments.mean(), moments.std(),
                    none ? Double.NaN : moments.min(), none ? Double.NaN : moments.max(), moments.nans(), moments.infinities(),
                    shares(strongest), shares(tokens));
        }

        private List<Share> shares(List<Share> energies) {
            return energies.stream().limit(TOP).map(top -> new Share(top.index, top.share == 0 ? 0 : top.share / moments.squares())).toList();
        }
    }
}
