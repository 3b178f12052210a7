package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.Tensor;

/** Launches {@code kernels/pictures.cu}; shapes are the caller's to check. */
final class PictureOperations {

    private static final int TILE = 64;
    private static final int CONVOLUTION_THREADS = 256;
    private static final int SUM_THREADS = 256;
    private static final long ELEMENTS_A_PART = 1 << 16;
    private static final long MOST_PARTS = 1024;

    private final Kernels kernels;
    private final DeviceMemory memory;

    PictureOperations(Kernels kernels, DeviceMemory memory) {
        this.kernels = kernels;
        this.memory = memory;
    }

    void conv2d(Tensor x, Conv2d layer, Tensor out) {
        convolve(x, View.of(layer.weight()), layer.bias(), out, (int) x.dim(1), (int) x.dim(2), (int) out.dim(1),
                (int) out.dim(2), (int) layer.kernelHeight(), (int) layer.kernelWidth(), (int) layer.stride(),
                (int) layer.padding().top(), (int) layer.padding().left());
    }

    /** A linear layer as a convolution of single pixels, where cuBLASLt has no algorithm. */
    void product(Tensor x, Linear layer, Tensor out) {
        View view = View.of(x);
        convolve(x, View.of(layer.weight()), layer.bias(), out, (int) view.d1(), (int) view.d2(), (int) view.d1(), (int) view.d2(),
                1, 1, 1, 0, 0);
    }

    private void convolve(Tensor x, View weight, Tensor bias, Tensor out, int height, int width, int outHeight, int outWidth,
            int kernelHeight, int kernelWidth, int stride, int top, int left) {
        long pixels = out.rows();
        kernels.launch("pictures.conv2d", Math.ceilDiv(pixels, TILE), Math.ceilDiv(out.dim(-1), TILE), 1, CONVOLUTION_THREADS,
                View.of(x), weight, bias == null ? View.ABSENT : View.of(bias), View.of(out), pixels, height, width,
                (int) x.dim(-1), outHeight, outWidth, (int) out.dim(-1), kernelHeight, kernelWidth, stride, top, left,
                bias == null ? 0 : 1);
    }

    void groupMoments(Tensor x, Tensor out) {
        long pixels = x.dim(1) * x.dim(2);
        long groups = out.dim(2);
        long size = x.dim(3) / groups;
        long parts = Math.clamp(Math.min(pixels, Math.ceilDiv(pixels * size, ELEMENTS_A_PART)), 1, MOST_PARTS);
        DeviceMemory.Block partials = memory.take(x.dim(0) * groups * parts * Double.BYTES, "the moments of " + x.shape());
        for (int centred = 0; centred <= 1; centred++) {
            kernels.launch("pictures.group_sums", parts, groups, x.dim(0), SUM_THREADS, View.of(x), View.of(out),
                    partials.address(), pixels, (int) size, centred);
            kernels.launch("pictures.group_finish", groups, x.dim(0), 1, 1, partials.address(), View.of(out), pixels * size,
                    (int) parts, centred);
        }
        memory.give(partials);
    }

    void groupNorm(Tensor x, Tensor moments, Tensor weight, Tensor bias, double eps, boolean silu, Tensor out) {
        kernels.launch("pictures.group_norm", x.rows(), 1, 1, RowOperations.threads(x.dim(3)), View.of(x), View.of(moments),
                View.of(weight), View.of(bias), View.of(out), x.dim(1) * x.dim(2), (int) x.dim(3),
                (int) (x.dim(3) / moments.dim(2)), moments.dim(0) == 1 ? 1 : 0, silu ? 1 : 0, (float) eps);
    }

    void upsampleNearest2x(Tensor x, Tensor out) {
        kernels.launch("pictures.upsample", out.rows(), 1, 1, RowOperations.threads(x.dim(3)), View.of(x), View.of(out),
                (int) x.dim(1), (int) x.dim(2), (int) x.dim(3));
    }
}
