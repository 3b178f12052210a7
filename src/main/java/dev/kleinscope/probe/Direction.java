package dev.kleinscope.probe;

/**
 * A vector over channels.
 *
 * @param name where it comes from, for records
 * @param values one a channel; not copied
 */
public record Direction(String name, float[] values) {

    /** @throws InterventionException if a value is not finite or all are zero */
    public Direction {
        double energy = 0;
        for (float value : values) {
            energy += (double) value * value;
        }
        if (!(energy > 0) || Double.isInfinite(energy)) {
            throw new InterventionException(name + " is no direction: its " + values.length + " values are "
                    + (energy == 0 ? "all zero" : "not all finite"));
        }
    }

    /** In f64, of length 1. */
    public double[] unit() {
        return unit(widened());
    }

    /** In f64, of length 1, without its part along {@code other}. @throws InterventionException if nothing is left */
    public double[] unitBeside(Direction other) {
        double[] along = other.unit();
        double[] rest = widened();
        double whole = length(rest);
        double share = 0;
        for (int i = 0; i < rest.length; i++) {
            share += rest[i] * along[i];
        }
        for (int i = 0; i < rest.length; i++) {
            rest[i] -= share * along[i];
        }
        if (length(rest) < 1e-6 * whole) {
            throw new InterventionException(name + " and " + other.name + " are parallel and span no plane");
        }
        return unit(rest);
    }

    private double[] widened() {
        double[] widened = new double[values.length];
        for (int i = 0; i < widened.length; i++) {
            widened[i] = values[i];
        }
        return widened;
    }

    private static double length(double[] vector) {
        double energy = 0;
        for (double value : vector) {
            energy += value * value;
        }
        return Math.sqrt(energy);
    }

    private static double[] unit(double[] vector) {
        double length = length(vector);
        for (int i = 0; i < vector.length; i++) {
            vector[i] /= length;
        }
        return vector;
    }

    @Override
    public String toString() {
        return name;
    }
}
