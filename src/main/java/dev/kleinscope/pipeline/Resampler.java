package dev.kleinscope.pipeline;

import java.util.function.DoubleUnaryOperator;

/**
 * Antialiased resampling of 8-bit images as Pillow does it and torch after it: the filter, widened when shrinking, is
 * sampled in f64 and normalised, the weights are rounded to integers, and each pass (rows, then columns) ends in 8 bits.
 *
 * <p>Source: Pillow {@code Resample.c}; PyTorch {@code UpSampleKernel.cpp}.
 */
final class Resampler {

    /** How many fractional bits the integer weights of a pass get, from the pass's largest weight. */
    @FunctionalInterface
    interface Precision {
        int bits(double largestWeight);
    }

    private final DoubleUnaryOperator filter;
    private final double support;
    private final Precision precision;

    /** @param support distance from the centre at which the filter ends, in pixels of the coarser image */
    Resampler(DoubleUnaryOperator filter, double support, Precision precision) {
        this.filter = filter;
        this.support = support;
        this.precision = precision;
    }

    /** @throws IllegalArgumentException if the new or the intermediate image is too large */
    Image8 resize(Image8 image, int width, int height) {
        Image8 result = image;
        if (width != result.width()) {
            Image8 target = Image8.black(width, result.height());
            pass(weights(result.width(), width), result, target, true);
            result = target;
        }
        if (height != result.height()) {
            Image8 target = Image8.black(width, height);
            pass(weights(result.height(), height), result, target, false);
            result = target;
        }
        return result;
    }

    /** Integer weights of one pass: output i takes inputs first[i] and on, with weights[i * stride] and on. */
    private record Weights(int[] first, int[] count, int[] weights, int stride, int bits) {
    }

    private Weights weights(int from, int to) {
        double scale = (double) from / to;
        double widening = Math.max(scale, 1);
        double reach = support * widening;
        int stride = Math.min(from, (int) Math.ceil(reach) * 2 + 1);
        int[] first = new int[to];
        int[] count = new int[to];
        double[] exact = new double[Math.multiplyExact(to, stride)];
        double largest = 0;
        for (int i = 0; i < to; i++) {
            double centre = (i + 0.5) * scale;
            first[i] = Math.max((int) (centre - reach + 0.5), 0);
            count[i] = Math.min((int) (centre + reach + 0.5), from) - first[i];
            double sum = 0;
            for (int k = 0; k < count[i]; k++) {
                double weight = filter.applyAsDouble((k + first[i] - centre + 0.5) * (1 / widening));
                exact[i * stride + k] = weight;
                sum += weight;
            }
            for (int k = 0; k < count[i] && sum != 0; k++) {
                exact[i * stride + k] /= sum;
                largest = Math.max(largest, exact[i * stride + k]);
            }
        }
        int bits = precision.bits(largest);
        int[] rounded = new int[exact.length];
        for (int i = 0; i < exact.length; i++) {
            double scaled = exact[i] * (1 << bits);
            rounded[i] = (int) (scaled < 0 ? scaled - 0.5 : scaled + 0.5);
        }
        return new Weights(first, count, rounded, stride, bits);
    }

    private static void pass(Weights w, Image8 source, Image8 target, boolean alongRows) {
        byte[] in = source.rgb();
        byte[] out = target.rgb();
        int step = alongRows ? 3 : 3 * source.width();
        for (int y = 0; y < target.height(); y++) {
            for (int x = 0; x < target.width(); x++) {
                int i = alongRows ? x : y;
                int start = alongRows ? 3 * (y * source.width() + w.first[i]) : 3 * (w.first[i] * source.width() + x);
                int r = 1 << (w.bits - 1);
                int g = r;
                int b = r;
                for (int k = 0, p = start; k < w.count[i]; k++, p += step) {
                    int weight = w.weights[i * w.stride + k];
                    r += (in[p] & 0xff) * weight;
                    g += (in[p + 1] & 0xff) * weight;
                    b += (in[p + 2] & 0xff) * weight;
                }
                int at = 3 * (y * target.width() + x);
                out[at] = (byte) Math.clamp(r >> w.bits, 0, 255);
                out[at + 1] = (byte) Math.clamp(g >> w.bits, 0, 255);
                out[at + 2] = (byte) Math.clamp(b >> w.bits, 0, 255);
            }
        }
    }
}
