package dev.kleinscope.tensor;

import java.util.Locale;

/**
 * How far values are from expected ones.
 *
 * @param relativeL2 {@code ||found - expected|| / ||expected||}; infinite where a value is not finite but should be
 * @param maxAbs largest absolute difference
 * @param worst index of the largest difference, row-major
 * @param found value there
 * @param expected value there
 */
public record Difference(double relativeL2, double maxAbs, int worst, float found, float expected) {

    /** @throws IllegalArgumentException if the lengths differ */
    public static Difference of(float[] found, float[] expected) {
        if (found.length != expected.length) {
            throw new IllegalArgumentException("expected " + expected.length + " values, found " + found.length);
        }
        double error = 0;
        double norm = 0;
        double max = -1;
        int worst = 0;
        for (int i = 0; i < found.length; i++) {
            double difference = Math.abs((double) found[i] - expected[i]);
            if (Float.compare(found[i], expected[i]) == 0) {
                difference = 0;
            } else if (Double.isNaN(difference)) {
                difference = Double.POSITIVE_INFINITY;
            }
            error += difference * difference;
            norm += (double) expected[i] * expected[i];
            if (difference > max) {
                max = difference;
                worst = i;
            }
        }
        if (found.length == 0) {
            return new Difference(0, 0, 0, 0, 0);
        }
        double relative = error == 0 ? 0 : Math.sqrt(error / norm);
        return new Difference(Double.isNaN(relative) ? Double.POSITIVE_INFINITY : relative, max, worst, found[worst], expected[worst]);
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "relative L2 %.2e, max abs %.2e at index %d (found %.7g, expected %.7g)",
                relativeL2, maxAbs, worst, found, expected);
    }
}
