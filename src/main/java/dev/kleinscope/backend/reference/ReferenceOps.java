package dev.kleinscope.backend.reference;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Gelu;
import dev.kleinscope.ops.HostFrames;
import dev.kleinscope.ops.HostKernels;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.OpShapes;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;

/**
 * Every operation as plain loops: the executable specification that other backends are measured against.
 *
 * <p>Inputs are read as f32, computed with in f64, and rounded to f32 once, when a result is written.
 */
public final class ReferenceOps implements Ops {

    private final HostFrames frames = new HostFrames("reference");

    @Override
    public String describe() {
        return "reference: one thread, plain loops in f64";
    }

    @Override
    public Frame frame() {
        return frames.open();
    }

    @Override
    public Tensor alloc(Shape shape) {
        return frames.alloc(shape);
    }

    @Override
    public Tensor input(HostTensor values) {
        return frames.input(values);
    }

    @Override
    public Tensor weight(Tensor mapped) {
        HostRows.segment(mapped);
        return mapped;
    }

    @Override
    public void linear(Tensor x, Linear layer, Tensor out) {
        HostRows.requireF32("linear", x, out);
        OpShapes.linear(x, layer, out);
        int rows = Math.toIntExact(x.rows());
        int width = Math.toIntExact(layer.out());
        float[] bias = layer.bias() == null ? new float[width] : HostRows.read(layer.bias(), 0);
        float[][] in = rows(x, 0, rows);
        float[][] result = new float[rows][width];
        for (int o = 0; o < width; o++) {
            float[] weight = HostRows.read(layer.weight(), o);
            for (int row = 0; row < rows; row++) {
                result[row][o] = (float) (dot(in[row], 0, weight, 0, weight.length) + bias[o]);
            }
        }
        for (int row = 0; row < rows; row++) {
            HostRows.write(out, row, result[row]);
        }
    }

    @Override
    public void layerNorm(Tensor x, double eps, Tensor out) {
        HostRows.requireF32("layerNorm", x, out);
        OpShapes.alike("layerNorm", out, x);
        for (long row = 0; row < x.rows(); row++) {
            HostRows.write(out, row, rounded(normalized(HostRows.read(x, row), eps)));
        }
    }

    @Override
    public void layerNormModulate(Tensor x, Tensor scale, Tensor shift, double eps, Tensor out) {
        HostRows.requireF32("layerNormModulate", x, scale, shift, out);
        OpShapes.modulated("layerNormModulate", x, scale, out);
        OpShapes.modulated("layerNormModulate", x, shift, out);
        for (long row = 0; row < x.rows(); row++) {
            float[] scales = HostRows.read(scale, row / x.dim(1));
            float[] shifts = HostRows.read(shift, row / x.dim(1));
            double[] values = normalized(HostRows.read(x, row), eps);
            for (int i = 0; i < values.length; i++) {
                values[i] = (1.0 + scales[i]) * values[i] + shifts[i];
            }
            HostRows.write(out, row, rounded(values));
        }
    }

    @Override
    public void layerNormAffine(Tensor x, Tensor weight, Tensor bias, double eps, Tensor out) {
        HostRows.requireF32("layerNormAffine", x, out);
        OpShapes.layerNormAffine(x, weight, bias, out);
        float[] weights = HostRows.read(weight, 0);
        float[] biases = HostRows.read(bias, 0);
        for (long row = 0; row < x.rows(); row++) {
            double[] values = normalized(HostRows.read(x, row), eps);
            for (int i = 0; i < values.length; i++) {
                values[i] = values[i] * weights[i] + biases[i];
            }
            HostRows.write(out, row, rounded(values));
        }
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, double eps, Tensor out) {
        HostRows.requireF32("rmsNorm", x, out);
        OpShapes.rmsNorm("rmsNorm", x, weight, out);
        float[] weights = HostRows.read(weight, 0);
        for (long row = 0; row < x.rows(); row++) {
            HostRows.write(out, row, rounded(rmsNormalized(HostRows.read(x, row), weights, eps)));
        }
    }

    @Override
    public void rmsNormRope(Tensor x, Tensor weight, double eps, Rope rope, Tensor out) {
        HostRows.requireF32("rmsNormRope", x, out, rope.cos(), rope.sin());
        OpShapes.rmsNormRope(x, weight, rope, out);
        float[] weights = HostRows.read(weight, 0);
        for (long row = 0; row < x.rows(); row++) {
            double[] values = rmsNormalized(HostRows.read(x, row), weights, eps);
            rotate(values, rope, row % x.dim(1));
            HostRows.write(out, row, rounded(values));
        }
    }

    @Override
    public void rotate(Tensor x, Rope rope, Tensor out) {
        HostRows.requireF32("rotate", x, out, rope.cos(), rope.sin());
        OpShapes.rotate(x, rope, out);
        for (long row = 0; row < x.rows(); row++) {
            double[] values = widened(HostRows.read(x, row));
            rotate(values, rope, row % x.dim(1));
            HostRows.write(out, row, rounded(values));
        }
    }

    private static void rotate(double[] values, Rope rope, long token) {
        float[] cos = HostRows.read(rope.cos(), token);
        float[] sin = HostRows.read(rope.sin(), token);
        int half = cos.length;
        boolean adjacent = rope.pairing() == Rope.Pairing.ADJACENT;
        for (int head = 0; head < values.length; head += 2 * half) {
            for (int pair = 0; pair < half; pair++) {
                int first = head + (adjacent ? 2 * pair : pair);
                int second = adjacent ? first + 1 : first + half;
                double a = values[first];
                double b = values[second];
                values[first] = a * cos[pair] - b * sin[pair];
                values[second] = b * cos[pair] + a * sin[pair];
            }
        }
    }

    @Override
    public void addProjections(Tensor x, Tensor from, Tensor to, Tensor out) {
        HostRows.requireF32("addProjections", x, from, to, out);
        OpShapes.addProjections(x, from, to, out);
        for (long row = 0; row < x.rows(); row++) {
            float[] values = HostRows.read(x, row);
            double[] sum = widened(values);
            for (long k = 0; k < from.dim(0); k++) {
                double share = dot(values, 0, HostRows.read(from, k), 0, values.length);
                float[] added = HostRows.read(to, k);
                for (int i = 0; i < sum.length; i++) {
                    sum[i] += share * added[i];
                }
            }
            HostRows.write(out, row, rounded(sum));
        }
    }

    private static double[] widened(float[] row) {
        double[] values = new double[row.length];
        for (int i = 0; i < row.length; i++) {
            values[i] = row[i];
        }
        return values;
    }

    /** A query that sees no key gets zeros. */
    @Override
    public void attention(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask, Tensor out) {
        HostRows.requireF32("attention", q, k, v, out);
        OpShapes.attention(q, k, v, heads, kvHeads, mask, out);
        int headDim = Math.toIntExact(q.dim(2) / heads);
        long group = heads / kvHeads;
        int queries = Math.toIntExact(q.dim(1));
        int keys = Math.toIntExact(k.dim(1));
        for (long batch = 0; batch < q.dim(0); batch++) {
            float[][] key = rows(k, batch * keys, keys);
            float[][] value = rows(v, batch * keys, keys);
            for (int query = 0; query < queries; query++) {
                float[] row = HostRows.read(q, batch * queries + query);
                int visible = Math.toIntExact(mask.visible(batch, query, keys));
                double[] result = new double[row.length];
                for (int head = 0; head < heads; head++) {
                    int kvFrom = Math.toIntExact(head / group * headDim);
                    attend(row, key, value, head * headDim, kvFrom, headDim, visible, result);
                }
                HostRows.write(out, batch * queries + query, rounded(result));
            }
        }
    }

    private static void attend(float[] query, float[][] key, float[][] value, int from, int kvFrom, int headDim,
            int visible, double[] result) {
        double[] probability = new double[visible];
        double largest = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < visible; i++) {
            probability[i] = dot(query, from, key[i], kvFrom, headDim) / Math.sqrt(headDim);
            largest = Math.max(largest, probability[i]);
        }
        double sum = 0;
        for (int i = 0; i < visible; i++) {
            probability[i] = Math.exp(probability[i] - largest);
            sum += probability[i];
        }
        for (int i = 0; i < visible; i++) {
            for (int channel = 0; channel < headDim; channel++) {
                result[from + channel] += probability[i] / sum * value[i][kvFrom + channel];
            }
        }
    }

    @Override
    public void attentionShares(Tensor q, Tensor k, long heads, int[] groups, Tensor out) {
        HostRows.requireF32("attentionShares", q, k, out);
        OpShapes.attentionShares(q, k, heads, groups, out);
        ProbeLoops.attentionShares(q, k, heads, groups, out);
    }

    @Override
    public void gelu(Tensor x, Gelu kind, Tensor out) {
        elementwise("gelu", x, x, out, (a, b) -> kind.of(a));
    }

    @Override
    public void silu(Tensor x, Tensor out) {
        elementwise("silu", x, x, out, (a, b) -> silu(a));
    }

    @Override
    public void swiglu(Tensor a, Tensor b, Tensor out) {
        elementwise("swiglu", a, b, out, (left, right) -> silu(left) * right);
    }

    @Override
    public void gatedResidual(Tensor x, Tensor gate, Tensor y, Tensor out) {
        HostRows.requireF32("gatedResidual", x, gate, y, out);
        OpShapes.modulated("gatedResidual", x, gate, out);
        OpShapes.alike("gatedResidual", out, x, y);
        for (long row = 0; row < x.rows(); row++) {
            float[] base = HostRows.read(x, row);
            float[] gates = HostRows.read(gate, row / x.dim(1));
            float[] update = HostRows.read(y, row);
            for (int i = 0; i < base.length; i++) {
                base[i] = (float) (base[i] + (double) gates[i] * update[i]);
            }
            HostRows.write(out, row, base);
        }
    }

    @Override
    public void addScaled(Tensor x, Tensor y, double scale, Tensor out) {
        elementwise("addScaled", x, y, out, (a, b) -> a + scale * b);
    }

    @Override
    public void lerp(Tensor a, Tensor b, double weight, Tensor out) {
        elementwise("lerp", a, b, out, (left, right) -> left + weight * (right - left));
    }

    @Override
    public void embedding(Tensor table, int[] ids, Tensor out) {
        HostRows.requireF32("embedding", out);
        OpShapes.embedding(table, ids, out);
        for (int row = 0; row < ids.length; row++) {
            HostRows.write(out, row, HostRows.read(table, ids[row]));
        }
    }

    @Override
    public void copy(Tensor x, Tensor out) {
        elementwise("copy", x, x, out, (a, b) -> a);
    }

    @Override
    public Tensor convWeight(Tensor mapped) {
        return HostKernels.channelsLast(mapped, frames);
    }

    @Override
    public void conv2d(Tensor x, Conv2d layer, Tensor out) {
        HostRows.requireF32("conv2d", x, out);
        OpShapes.conv2d(x, layer, out);
        PictureLoops.conv2d(x, layer, out);
    }

    @Override
    public void rowMoments(Tensor x, Tensor before, Tensor out) {
        HostRows.requireF32("rowMoments", x, out);
        OpShapes.rowMoments(x, before, out);
        ProbeLoops.rowMoments(x, before, out);
    }

    @Override
    public void channelEnergies(Tensor x, int[] bounds, Tensor out) {
        HostRows.requireF32("channelEnergies", x, out);
        OpShapes.channelEnergies(x, bounds, out);
        ProbeLoops.channelEnergies(x, bounds, out);
    }

    @Override
    public void groupMoments(Tensor x, Tensor out) {
        HostRows.requireF32("groupMoments", x, out);
        OpShapes.groupMoments(x, out);
        PictureLoops.groupMoments(x, out);
    }

    @Override
    public void groupNorm(Tensor x, Tensor moments, Tensor weight, Tensor bias, double eps, boolean silu, Tensor out) {
        HostRows.requireF32("groupNorm", x, moments, out);
        OpShapes.groupNorm(x, moments, weight, bias, out);
        PictureLoops.groupNorm(x, moments, weight, bias, eps, silu, out);
    }

    @Override
    public void upsampleNearest2x(Tensor x, Tensor out) {
        HostRows.requireF32("upsampleNearest2x", x, out);
        OpShapes.upsampleNearest2x(x, out);
        PictureLoops.upsampleNearest2x(x, out);
    }

    @Override
    public void close() {
        frames.close();
    }

    private interface Binary {
        double apply(double a, double b);
    }

    private static void elementwise(String op, Tensor a, Tensor b, Tensor out, Binary function) {
        HostRows.requireF32(op, a, b, out);
        OpShapes.alike(op, out, a, b);
        for (long row = 0; row < out.rows(); row++) {
            float[] left = HostRows.read(a, row);
            float[] right = HostRows.read(b, row);
            for (int i = 0; i < left.length; i++) {
                left[i] = (float) function.apply(left[i], right[i]);
            }
            HostRows.write(out, row, left);
        }
    }

    private static float[][] rows(Tensor tensor, long from, int count) {
        float[][] rows = new float[count][];
        for (int i = 0; i < count; i++) {
            rows[i] = HostRows.read(tensor, from + i);
        }
        return rows;
    }

    static double dot(float[] a, int aFrom, float[] b, int bFrom, int count) {
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += (double) a[aFrom + i] * b[bFrom + i];
        }
        return sum;
    }

    private static double[] normalized(float[] row, double eps) {
        double sum = 0;
        for (float value : row) {
            sum += value;
        }
        double mean = sum / row.length;
        double squares = 0;
        for (float value : row) {
            squares += (value - mean) * (value - mean);
        }
        double factor = 1 / Math.sqrt(squares / row.length + eps);
        double[] values = new double[row.length];
        for (int i = 0; i < row.length; i++) {
            values[i] = (row[i] - mean) * factor;
        }
        return values;
    }

    private static double[] rmsNormalized(float[] row, float[] weight, double eps) {
        double[] values = new double[row.length];
        for (int from = 0; from < row.length; from += weight.length) {
            double meanSquare = dot(row, from, row, from, weight.length) / weight.length;
            double factor = 1 / Math.sqrt(meanSquare + eps);
            for (int i = 0; i < weight.length; i++) {
                values[from + i] = row[from + i] * factor * weight[i];
            }
        }
        return values;
    }

    static double silu(double x) {
        return x / (1 + Math.exp(-x));
    }

    static float[] rounded(double[] values) {
        float[] result = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            result[i] = (float) values[i];
        }
        return result;
    }
}
