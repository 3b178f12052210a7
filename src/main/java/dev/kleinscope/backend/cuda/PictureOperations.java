package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;

/** Launches {@code kernels/pictures.cu}; shapes are the caller's to check. */
final class PictureOperations {

    private static final int TILE = 64;
    private static final int CONVOLUTION_THREADS = 256;
    private static final int SUM_THREADS = 256;
    private static final long ELEMENTS_A_PART = 1 << 16;
    private static final long MOST_PARTS = 1024;

    /** Kernels that see fewer values than this are not worth a product. */
    private static final long LEAST_DEPTH = 64;
    private static final long COLUMN_BYTES = 256L << 20;

    private final Kernels kernels;
    private final DeviceMemory memory;
    private final Products products;
    private final RowOperations rows;

    PictureOperations(Kernels kernels, DeviceMemory memory, Products products, RowOperations rows) {
        this.kernels = kernels;
        this.memory = memory;
        this.products = products;
        this.rows = rows;
    }

    void conv2d(Tensor x, Conv2d layer, Tensor out) {
        if (out.contiguous() && layer.kernelHeight() * layer.kernelWidth() * layer.in() >= LEAST_DEPTH && byProducts(x, layer, out)) {
            if (layer.bias() != null) {
                rows.addBias(layer.bias(), out);
            }
            return;
        }
        convolve(x, View.of(layer.weight()), layer.bias(), out, (int) x.dim(1), (int) x.dim(2), (int) out.dim(1),
                (int) out.dim(2), (int) layer.kernelHeight(), (int) layer.kernelWidth(), (int) layer.stride(),
                (int) layer.padding().top(), (int) layer.padding().left());
    }

    /**
     * What the kernel sees at each pixel as a row, times the kernel; so many pixels at a time as fit in a buffer. False if cuBLASLt
     * cannot.
     */
    private boolean byProducts(Tensor x, Conv2d layer, Tensor out) {
        long places = layer.kernelHeight() * layer.kernelWidth();
        long depth = places * layer.in();
        DType dtype = layer.weight().dtype();
        int type = View.typeNumber(dtype);
        long pixels = out.rows();
        long most = Math.clamp(COLUMN_BYTES / dtype.bytes(depth), 1, Math.max(1, pixels));
        DeviceMemory.Block block = memory.take(dtype.bytes(most * depth), "the columns of a convolution of " + x.shape());
        View columns = new View(block.address(), 1, most, 0, 0, depth, type);
        try {
            for (long first = 0; first < pixels; first += most) {
                long count = Math.min(most, pixels - first);
                kernels.launch("pictures.columns", count, places, 1, RowOperations.threads(layer.in()), View.of(x), columns, first,
                        (int) x.dim(1), (int) x.dim(2), (int) layer.in(), (int) out.dim(1), (int) out.dim(2),
                        (int) layer.kernelWidth(), (int) layer.stride(), (int) layer.padding().top(), (int) layer.padding().left());
                if (!products.multiply(block.address(), type, depth, View.address(layer.weight()), type, depth,
                        View.address(out) + out.dtype().bytes(first * out.dim(3)), View.typeNumber(out.dtype()), out.dim(3), count,
                        depth, out.dim(3))) {
                    return false;
                }
            }
            return true;
        } finally {
            memory.give(block);
        }
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
