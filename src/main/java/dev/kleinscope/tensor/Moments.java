package dev.kleinscope.tensor;

/**
 * Running moments of values, in f64, merged as Chan, Golub and LeVeque (1979) do, so that a large mean costs no digits of the deviation.
 * NaN and infinities are counted and left out of all else.
 */
public final class Moments {

    private long count;
    private long nans;
    private long infinities;
    private double mean;
    private double deviations;
    private double squares;
    private double min = Double.POSITIVE_INFINITY;
    private double max = Double.NEGATIVE_INFINITY;

    /** Of no values. */
    public Moments() {
        // all fields begin so
    }

    /** Adds the first values of an array, in whose beginning the finite ones are moved together. */
    public void add(double[] values, int length) {
        Moments part = new Moments();
        double sum = 0;
        for (int i = 0; i < length; i++) {
            double value = values[i];
            if (Math.abs(value) <= Double.MAX_VALUE) {
                values[(int) part.count++] = value;
                sum += value;
                part.squares += value * value;
                part.min = Math.min(part.min, value);
                part.max = Math.max(part.max, value);
            } else if (Double.isNaN(value)) {
                part.nans++;
            } else {
                part.infinities++;
            }
        }
        part.mean = part.count == 0 ? 0 : sum / part.count;
        for (int i = 0; i < part.count; i++) {
            double deviation = values[i] - part.mean;
            part.deviations += deviation * deviation;
        }
        add(part);
    }

    /** Adds what others summed. */
    public void add(Moments other) {
        nans += other.nans;
        infinities += other.infinities;
        if (other.count == 0) {
            return;
        }
        long total = count + other.count;
        double difference = other.mean - mean;
        mean += difference * other.count / total;
        deviations += other.deviations + difference * difference * count / total * other.count;
        squares += other.squares;
        min = Math.min(min, other.min);
        max = Math.max(max, other.max);
        count = total;
    }

    /** How many values were finite. */
    public long count() {
        return count;
    }

    /** How many values were no number. */
    public long nans() {
        return nans;
    }

    /** How many values were infinite. */
    public long infinities() {
        return infinities;
    }

    /** 0 if no value is finite. */
    public double mean() {
        return mean;
    }

    /** Standard deviation, divided by the count; 0 if no value is finite. */
    public double std() {
        return count == 0 ? 0 : Math.sqrt(deviations / count);
    }

    /** Sum of the squares. */
    public double squares() {
        return squares;
    }

    /** Positive infinity if no value is finite. */
    public double min() {
        return min;
    }

    /** Negative infinity if no value is finite. */
    public double max() {
        return max;
    }
}
