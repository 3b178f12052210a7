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

    static void attentionShares(Tensor q, Tensor k, long heads, int[] groups, Tensor out) {
        int headDim = Math.toIntExact(q.dim(2) / heads);
        for (long batch = 0; batch < q.dim(0); batch++) {
            float[][] keys = new float[groups.length][];
            for (int key = 0; key < keys.length; key++) {
                keys[key] = HostRows.read(k, batch * keys.length + key);
            }
            for (long query = 0; query < q.dim(1); query++) {
                float[] row = HostRows.read(q, batch * q.dim(1) + query);
                for (int head = 0; head < heads; head++) {
                    double[] shares = shares(row, keys, head * headDim, headDim, groups, Math.toIntExact(out.dim(2)));
                    HostRows.write(out, (batch * heads + head) * q.dim(1) + query, ReferenceOps.rounded(shares));
                }
            }
        }
    }

    private static double[] shares(float[] query, float[][] keys, int from, int headDim, int[] groups, int columns) {
        double[] scores = new double[keys.length];
        double largest = Double.NEGATIVE_INFINITY;
        for (int key = 0; key < keys.length; key++) {
            scores[key] = ReferenceOps.dot(query, from, keys[key], from, headDim) / Math.sqrt(headDim);
            largest = Math.max(largest, scores[key]);
        }
        double sum = 0;
        for (double score : scores) {
            sum += Math.exp(score - largest);
        }
        double[] shares = new double[columns];
        for (int key = 0; key < keys.length; key++) {
            double share = Math.exp(scores[key] - largest) / sum;
            shares[0] += share * (Math.log(sum) - (scores[key] - largest));
            shares[1 + groups[key]] += share;
        }
        return shares;
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
