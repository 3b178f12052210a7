package dev.kleinscope.tensor;

import java.util.Locale;

/** What a line in a debugger's list of variables says of a tensor's values. */
final class Glance {

    private static final int FIRST = 4;

    private Glance() {
    }

    /** {@code |x|=3.31e+05 [0.0123, -1.200, ...]}; if the time is up, a lower bound from the leading values and how many those are. */
    static String at(Tensor tensor, long mostNanos) {
        long elements = tensor.shape().elements();
        long end = System.nanoTime() + mostNanos;
        float[] first = new float[(int) Math.min(FIRST, elements)];
        double[] energy = new double[1];
        long seen = Pieces.of(tensor, (at, values, count) -> {
            if (at == 0) {
                System.arraycopy(values, 0, first, 0, first.length);
            }
            energy[0] += energy(values, count);
            return System.nanoTime() < end;
        });
        StringBuilder text = new StringBuilder(String.format(Locale.ROOT, seen == elements ? "|x|=%.3g [" : "|x|>=%.3g [",
                Math.sqrt(energy[0])));
        for (int i = 0; i < first.length; i++) {
            text.append(i == 0 ? "" : ", ").append(String.format(Locale.ROOT, "%.4g", first[i]));
        }
        text.append(elements > FIRST ? ", ...]" : "]");
        if (seen < elements) {
            text.append(String.format(Locale.ROOT, " (norm of the first %.2g%%; stats() reads all)", 100.0 * seen / elements));
        }
        return text.toString();
    }

    /** In four sums, since one would wait for each addition. */
    private static double energy(float[] values, int count) {
        double a = 0;
        double b = 0;
        double c = 0;
        double d = 0;
        int i = 0;
        for (; i + 3 < count; i += 4) {
            a += (double) values[i] * values[i];
            b += (double) values[i + 1] * values[i + 1];
            c += (double) values[i + 2] * values[i + 2];
            d += (double) values[i + 3] * values[i + 3];
        }
        for (; i < count; i++) {
            a += (double) values[i] * values[i];
        }
        return a + b + c + d;
    }
}
