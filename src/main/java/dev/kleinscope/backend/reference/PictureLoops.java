package dev.kleinscope.backend.reference;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;

/** Operations on pictures [batch, height, width, channels] as plain loops in f64; shapes are the caller's to check. */
final class PictureLoops {

    private PictureLoops() {
    }

    static void conv2d(Tensor x, Conv2d layer, Tensor out) {
        int channels = Math.toIntExact(layer.in());
        float[] bias = layer.bias() == null ? null : HostRows.read(layer.bias(), 0);
        float[][] kernel = new float[Math.toIntExact(layer.weight().rows())][];
        for (int row = 0; row < kernel.length; row++) {
            kernel[row] = HostRows.read(layer.weight(), row);
        }
        long height = x.dim(1);
        long width = x.dim(2);
        for (long row = 0; row < out.rows(); row++) {
            long left = row % out.dim(2) * layer.stride() - layer.padding().left();
            long top = row / out.dim(2) % out.dim(1) * layer.stride() - layer.padding().top();
            long batch = row / out.dim(2) / out.dim(1);
            double[] sums = new double[Math.toIntExact(layer.out())];
            for (int o = 0; bias != null && o < sums.length; o++) {
                sums[o] = bias[o];
            }
            int pixels = Math.toIntExact(layer.kernelHeight() * layer.kernelWidth());
            for (int pixel = 0; pixel < pixels; pixel++) {
                long y = top + pixel / layer.kernelWidth();
                long column = left + pixel % layer.kernelWidth();
                if (y < 0 || y >= height || column < 0 || column >= width) {
                    continue;
                }
                float[] values = HostRows.read(x, (batch * height + y) * width + column);
                for (int o = 0; o < sums.length; o++) {
                    sums[o] += ReferenceOps.dot(values, 0, kernel[o * pixels + pixel], 0, channels);
                }
            }
            HostRows.write(out, row, ReferenceOps.rounded(sums));
        }
    }

    static void groupMoments(Tensor x, Tensor out) {
        int groups = Math.toIntExact(out.dim(2));
        int size = Math.toIntExact(x.dim(3) / groups);
        long pixels = x.dim(1) * x.dim(2);
        for (long batch = 0; batch < x.dim(0); batch++) {
            double[] means = new double[groups];
            double[] variances = new double[groups];
            for (long pixel = 0; pixel < pixels; pixel++) {
                float[] values = HostRows.read(x, batch * pixels + pixel);
                for (int i = 0; i < values.length; i++) {
                    means[i / size] += values[i] / (double) (pixels * size);
                }
            }
            for (long pixel = 0; pixel < pixels; pixel++) {
                float[] values = HostRows.read(x, batch * pixels + pixel);
                for (int i = 0; i < values.length; i++) {
                    double centred = values[i] - means[i / size];
                    variances[i / size] += centred * centred / (pixels * size);
                }
            }
            HostRows.write(out, 2 * batch, ReferenceOps.rounded(means));
            HostRows.write(out, 2 * batch + 1, ReferenceOps.rounded(variances));
        }
    }

    static void groupNorm(Tensor x, Tensor moments, Tensor weight, Tensor bias, double eps, boolean silu, Tensor out) {
        int size = Math.toIntExact(x.dim(3) / moments.dim(2));
        float[] weights = HostRows.read(weight, 0);
        float[] biases = HostRows.read(bias, 0);
        for (long row = 0; row < x.rows(); row++) {
            long batch = moments.dim(0) == 1 ? 0 : row / x.dim(2) / x.dim(1);
            float[] means = HostRows.read(moments, 2 * batch);
            float[] variances = HostRows.read(moments, 2 * batch + 1);
            float[] values = HostRows.read(x, row);
            for (int i = 0; i < values.length; i++) {
                int group = i / size;
                double value = (values[i] - means[group]) / Math.sqrt(variances[group] + eps) * weights[i] + biases[i];
                values[i] = (float) (silu ? ReferenceOps.silu(value) : value);
            }
            HostRows.write(out, row, values);
        }
    }

    static void upsampleNearest2x(Tensor x, Tensor out) {
        for (long row = 0; row < out.rows(); row++) {
            long column = row % out.dim(2) / 2;
            long y = row / out.dim(2) % out.dim(1) / 2;
            long batch = row / out.dim(2) / out.dim(1);
            HostRows.write(out, row, HostRows.read(x, (batch * x.dim(1) + y) * x.dim(2) + column));
        }
    }
}
