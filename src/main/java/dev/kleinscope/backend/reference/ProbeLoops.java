package dev.kleinscope.backend.reference;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;

/** What observers measure, as plain loops. */
final class ProbeLoops {

    private ProbeLoops() {
    }

    static void rowMoments(Tensor x, Tensor before, Tensor out) {
        for (long row = 0; row < x.rows(); row++) {
            float[] a = HostRows.read(x, row);
            double squares = ReferenceOps.dot(a, 0, a, 0, a.length);
            if (before == null) {
                HostRows.write(out, row, pairs(squares));
            } else {
                float[] b = HostRows.read(before, row);
                double changes = 0;
                for (int i = 0; i < a.length; i++) {
                    double change = (double) a[i] - b[i];
                    changes += change * change;
                }
                HostRows.write(out, row, pairs(squares, changes, ReferenceOps.dot(a, 0, b, 0, a.length)));
            }
        }
    }

    /** Each value as the nearest f32 and the remainder. */
    private static float[] pairs(double... values) {
        float[] pairs = new float[2 * values.length];
        for (int i = 0; i < values.length; i++) {
            pairs[2 * i] = (float) values[i];
            pairs[2 * i + 1] = (float) (values[i] - pairs[2 * i]);
        }
        return pairs;
    }

    static void channelEnergies(Tensor x, int[] bounds, Tensor out) {
        int ranges = bounds.length / 2;
        for (long batch = 0; batch < x.dim(0); batch++) {
            for (int range = 0; range < ranges; range++) {
                double[] sums = new double[Math.toIntExact(x.dim(2))];
                for (int token = bounds[2 * range]; token < bounds[2 * range + 1]; token++) {
                    float[] row = HostRows.read(x, batch * x.dim(1) + token);
                    for (int i = 0; i < sums.length; i++) {
                        sums[i] += (double) row[i] * row[i];
                    }
                }
                HostRows.write(out, batch * ranges + range, ReferenceOps.rounded(sums));
            }
        }
    }
}
