package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;

/** Launches {@code kernels/pictures.cu} and {@code kernels/groups.cu}; shapes are the caller's to check. */
final class PictureOperations {

    private static final int TILE = 64;
    private static final int CONVOLUTION_THREADS = 256;
    private static final int THREADS = 256;
    private static final int FINISH_THREADS = 128;
    private static final int WIDE_BYTES = 16;
    private static final long MOST_GRID_ROWS = 65535;

    /** Blocks that keep a large GPU reading; and how many values, or 16 bytes of them, a thread should sum at least and at most. */
    private static final long BLOCKS = 528;
    private static final long LEAST_STEPS = 16;
    private static final long MOST_STEPS = 512;
    private static final long NORM_PIXELS_A_THREAD = 16;

    /** Kernels that see fewer values than this are not worth a product. */
    private static final long LEAST_DEPTH = 64;
    private static final long COLUMN_BYTES = 256L << 20;

    private final Kernels kernels;
    private final DeviceMemory memory;
    private final Products products;
    private final RowOperations rows;
    private final CudnnConvolution cudnn;

    /** @param cudnn null without cuDNN and in f32 */
    PictureOperations(Kernels kernels, DeviceMemory memory, Products products, RowOperations rows, CudnnConvolution cudnn) {
        this.cudnn = cudnn;
        this.kernels = kernels;
        this.memory = memory;
        this.products = products;
        this.rows = rows;
    }

    /** @param added shaped as out, or null */
    void conv2d(Tensor x, Conv2d layer, Tensor added, Tensor out) {
        Tensor bias = layer.bias();
        CudnnConvolution.Rest rest = cudnn == null ? CudnnConvolution.Rest.EVERYTHING : cudnn.convolve(x, layer, added, out);
        if (rest == CudnnConvolution.Rest.NOTHING) {
            return;
        }
        if (rest == CudnnConvolution.Rest.EVERYTHING && !(worthAProduct(layer, out) && byProducts(x, layer, out))) {
            convolve(x, View.of(layer.weight()), bias, out, (int) x.dim(1), (int) x.dim(2), (int) out.dim(1), (int) out.dim(2),
                    (int) layer.kernelHeight(), (int) layer.kernelWidth(), (int) layer.stride(), (int) layer.padding().top(),
                    (int) layer.padding().left());
            bias = null;
        }
        if (bias != null) {
            rows.addBias(bias, out);
        }
        if (added != null) {
            rows.addScaled(added, out, 1, out);
        }
    }

    private static boolean worthAProduct(Conv2d layer, Tensor out) {
        return out.contiguous() && layer.kernelHeight() * layer.kernelWidth() * layer.in() >= LEAST_DEPTH;
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
        int pixels = Math.toIntExact(x.dim(1) * x.dim(2));
        int channels = Math.toIntExact(x.dim(3));
        long groups = out.dim(2);
        int size = (int) (channels / groups);
        int each = wide(x);
        boolean wide = each > 0 && (size % each == 0 || each % size == 0);
        long steps = wide ? Math.ceilDiv(pixels, THREADS / (channels / each)) : Math.ceilDiv((long) pixels * size, THREADS);
        long most = Math.max(1, BLOCKS / (x.dim(0) * (wide ? 1 : groups)));
        long parts = Math.max(Math.clamp(steps / LEAST_STEPS, 1, most), Math.ceilDiv(steps, MOST_STEPS));
        DeviceMemory.Block partials = memory.take(x.dim(0) * groups * parts * 2 * Double.BYTES, "the moments of " + x.shape());
        if (wide) {
            kernels.launch("groups.group_moments_wide", parts, x.dim(0), 1, THREADS, View.of(x), partials.address(), pixels,
                    channels, size, Math.max(1, each / size));
        } else {
            kernels.launch("groups.group_moments", parts, groups, x.dim(0), THREADS, View.of(x), partials.address(), pixels,
                    channels, size);
        }
        kernels.launch("groups.group_finish", groups, x.dim(0), 1, FINISH_THREADS, partials.address(), View.of(out), pixels, size,
                (int) parts);
        memory.give(partials);
    }

    void groupNorm(Tensor x, Tensor moments, Tensor weight, Tensor bias, double eps, boolean silu, Tensor out) {
        long pixels = x.dim(1) * x.dim(2);
        int channels = Math.toIntExact(x.dim(3));
        int size = (int) (channels / moments.dim(2));
        int each = wide(x, out);
        if (each > 0) {
            long rows = THREADS / (channels / each);
            kernels.launch("groups.group_norm_wide", Math.ceilDiv(pixels, rows * NORM_PIXELS_A_THREAD), x.dim(0), 1, THREADS,
                    View.of(x), View.of(moments), View.of(weight), View.of(bias), View.of(out), Math.toIntExact(pixels), channels,
                    size, moments.dim(0) == 1 ? 1 : 0, silu ? 1 : 0, (float) eps);
            return;
        }
        kernels.launch("groups.group_norm", x.rows(), 1, 1, RowOperations.threads(channels), View.of(x), View.of(moments),
                View.of(weight), View.of(bias), View.of(out), pixels, channels, size, moments.dim(0) == 1 ? 1 : 0, silu ? 1 : 0,
                (float) eps);
    }

    void upsampleNearest2x(Tensor x, Tensor out) {
        int each = wide(x, out);
        if (each > 0 && x.dim(1) <= MOST_GRID_ROWS && x.dim(0) <= MOST_GRID_ROWS) {
            long lanes = x.dim(3) / each;
            kernels.launch("pictures.upsample_wide", Math.ceilDiv(x.dim(2) * lanes, THREADS), x.dim(1), x.dim(0), THREADS,
                    View.of(x), View.of(out), (int) x.dim(2), (int) lanes);
            return;
        }
        kernels.launch("pictures.upsample", out.rows(), 1, 1, RowOperations.threads(x.dim(3)), View.of(x), View.of(out),
                (int) x.dim(1), (int) x.dim(2), (int) x.dim(3));
    }

    /**
     * How many elements kernels may move at once: as many as 16 bytes hold, where all the pictures are of one type, each pixel
     * begins at a multiple of that and a block spans a pixel; else 0.
     */
    private static int wide(Tensor... pictures) {
        DType type = pictures[0].dtype();
        int each = (int) (WIDE_BYTES / type.bytes(1));
        for (Tensor picture : pictures) {
            if (picture.dtype() != type || picture.dim(3) % each != 0 || picture.dim(3) / each > THREADS
                    || View.address(picture) % WIDE_BYTES != 0 || picture.stride(0) % each != 0 || picture.stride(1) % each != 0
                    || picture.stride(2) % each != 0) {
                return 0;
            }
        }
        return each;
    }
}
