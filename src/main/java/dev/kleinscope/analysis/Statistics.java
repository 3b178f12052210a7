package dev.kleinscope.analysis;

import org.apache.commons.statistics.descriptive.Median;

/** What Apache Commons Statistics, which has mean, median and quantiles, lacks. */
public final class Statistics {

    /** Times the median absolute deviation gives the standard deviation of a normal distribution. */
    public static final double MAD_TO_SIGMA = 1.4826;

    private Statistics() {
    }

    /**
     * Median absolute deviation from the median, unscaled (Hampel 1974); the mean of the two middle values where their
     * number is even. The argument is left as it is.
     *
     * @throws IllegalArgumentException if there are no values or one is NaN or infinite
     */
    public static double medianAbsoluteDeviation(double... values) {
        if (values.length == 0) {
            throw new IllegalArgumentException("median absolute deviation of no values");
        }
        for (int i = 0; i < values.length; i++) {
            if (!Double.isFinite(values[i])) {
                throw new IllegalArgumentException("median absolute deviation: value " + i + " of " + values.length + " is "
                        + values[i]);
            }
        }
        Median copying = Median.withDefaults().withCopy(true);
        double centre = copying.evaluate(values);
        double[] deviations = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            deviations[i] = Math.abs(values[i] - centre);
        }
        return copying.evaluate(deviations);
    }
}
