package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.cudnn.Cudnn;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * A convolution as cuDNN's backend API takes it: the forward node in bf16, accumulated in f32, then in f32 a picture to add and the
 * bias, which is bf16 too, and one rounding at the end. In this order and of these types cuDNN has engines that are compiled already.
 */
final class ConvolutionGraph implements AutoCloseable {

    /** Of every tensor. */
    static final long ALIGNMENT_BYTES = 16;

    private static final int X = 1;
    private static final int WEIGHT = 2;
    private static final int OUT = 3;
    private static final int BIAS = 4;
    private static final int ADDED = 5;
    private static final int FIRST_VIRTUAL = 6;

    /** Numbers of the picture, the weight, the result, the bias and the picture to add. */
    static final long[] IDS = {X, WEIGHT, OUT, BIAS, ADDED};

    /**
     * Sizes, and elements from picture to picture, row to row and pixel to pixel.
     *
     * @param biased whether a bias is added
     * @param added whether a picture that lies as {@code addedBatch}, .. say is added
     */
    record Sizes(long batch, long height, long width, long in, long out, long outHeight, long outWidth, long kernelHeight,
            long kernelWidth, long stride, long top, long left, long bottom, long right, long xBatch, long xRow, long xPixel,
            long outBatch, long outRow, long outPixel, boolean biased, boolean added, long addedBatch, long addedRow, long addedPixel) {

        /** Without bias and picture to add. */
        Sizes bare() {
            return new Sizes(batch, height, width, in, out, outHeight, outWidth, kernelHeight, kernelWidth, stride, top, left, bottom,
                    right, xBatch, xRow, xPixel, outBatch, outRow, outPixel, false, false, 0, 0, 0);
        }

        double flops() {
            return 2.0 * batch * outHeight * outWidth * out * kernelHeight * kernelWidth * in;
        }
    }

    private final Sizes s;
    private final String text;
    private final List<CudnnDescriptor> parts = new ArrayList<>();
    private final CudnnDescriptor graph;
    private int virtual = FIRST_VIRTUAL;

    /** @throws CudaException if cuDNN takes no such convolution */
    ConvolutionGraph(Sizes sizes, MemorySegment handle) {
        s = sizes;
        text = sizes.toString();
        try {
            List<CudnnDescriptor> operations = new ArrayList<>();
            CudnnDescriptor result = s.biased || s.added ? between() : out();
            operations.add(convolution(result));
            if (s.added) {
                CudnnDescriptor sum = s.biased ? between() : out();
                operations.add(add(result, picture(ADDED, s.addedBatch, s.addedRow, s.addedPixel, false), sum));
                result = sum;
            }
            if (s.biased) {
                operations.add(add(result, bias(), out()));
            }
            graph = part(Cudnn.CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR())
                    .setAll(Cudnn.CUDNN_ATTR_OPERATIONGRAPH_OPS(), operations)
                    .setPointers(Cudnn.CUDNN_ATTR_OPERATIONGRAPH_HANDLE(), Cudnn.CUDNN_TYPE_HANDLE(), handle).finish();
        } catch (CudaException e) {
            close();
            throw e;
        }
    }

    CudnnDescriptor graph() {
        return graph;
    }

    private CudnnDescriptor part(int type) {
        CudnnDescriptor part = new CudnnDescriptor(type, text);
        parts.add(part);
        return part;
    }

    private CudnnDescriptor convolution(CudnnDescriptor result) {
        CudnnDescriptor convolution = part(Cudnn.CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR())
                .setEnum(Cudnn.CUDNN_ATTR_CONVOLUTION_COMP_TYPE(), Cudnn.CUDNN_TYPE_DATA_TYPE(), Cudnn.CUDNN_DATA_FLOAT())
                .setEnum(Cudnn.CUDNN_ATTR_CONVOLUTION_CONV_MODE(), Cudnn.CUDNN_TYPE_CONVOLUTION_MODE(),
                        Cudnn.CUDNN_CROSS_CORRELATION())
                .set(Cudnn.CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS(), Cudnn.CUDNN_TYPE_INT64(), 2)
                .set(Cudnn.CUDNN_ATTR_CONVOLUTION_DILATIONS(), Cudnn.CUDNN_TYPE_INT64(), 1, 1)
                .set(Cudnn.CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES(), Cudnn.CUDNN_TYPE_INT64(), s.stride, s.stride)
                .set(Cudnn.CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS(), Cudnn.CUDNN_TYPE_INT64(), s.top, s.left)
                .set(Cudnn.CUDNN_ATTR_CONVOLUTION_POST_PADDINGS(), Cudnn.CUDNN_TYPE_INT64(), s.bottom, s.right).finish();
        CudnnDescriptor x = tensor(X, Cudnn.CUDNN_DATA_BFLOAT16(), new long[] {s.batch, s.in, s.height, s.width},
                new long[] {s.xBatch, 1, s.xRow, s.xPixel}, false);
        CudnnDescriptor weight = tensor(WEIGHT, Cudnn.CUDNN_DATA_BFLOAT16(), new long[] {s.out, s.in, s.kernelHeight, s.kernelWidth},
                new long[] {s.kernelHeight * s.kernelWidth * s.in, 1, s.kernelWidth * s.in, s.in}, false);
        return part(Cudnn.CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR())
                .set(Cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X(), x)
                .set(Cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W(), weight)
                .set(Cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y(), result)
                .set(Cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC(), convolution)
                .setFloat(Cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA(), 1)
                .setFloat(Cudnn.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA(), 0).finish();
    }

    private CudnnDescriptor add(CudnnDescriptor a, CudnnDescriptor b, CudnnDescriptor sum) {
        CudnnDescriptor addition = part(Cudnn.CUDNN_BACKEND_POINTWISE_DESCRIPTOR())
                .setEnum(Cudnn.CUDNN_ATTR_POINTWISE_MODE(), Cudnn.CUDNN_TYPE_POINTWISE_MODE(), Cudnn.CUDNN_POINTWISE_ADD())
                .setEnum(Cudnn.CUDNN_ATTR_POINTWISE_MATH_PREC(), Cudnn.CUDNN_TYPE_DATA_TYPE(), Cudnn.CUDNN_DATA_FLOAT()).finish();
        return part(Cudnn.CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR())
                .set(Cudnn.CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR(), addition)
                .set(Cudnn.CUDNN_ATTR_OPERATION_POINTWISE_XDESC(), a)
                .set(Cudnn.CUDNN_ATTR_OPERATION_POINTWISE_BDESC(), b)
                .set(Cudnn.CUDNN_ATTR_OPERATION_POINTWISE_YDESC(), sum).finish();
    }

    private CudnnDescriptor bias() {
        return tensor(BIAS, Cudnn.CUDNN_DATA_BFLOAT16(), new long[] {1, s.out, 1, 1}, new long[] {s.out, 1, s.out, s.out}, false);
    }

    private CudnnDescriptor out() {
        return picture(OUT, s.outBatch, s.outRow, s.outPixel, false);
    }

    private CudnnDescriptor between() {
        return picture(virtual++, s.outHeight * s.outWidth * s.out, s.outWidth * s.out, s.out, true);
    }

    private CudnnDescriptor picture(int id, long batch, long row, long pixel, boolean between) {
        int type = between ? Cudnn.CUDNN_DATA_FLOAT() : Cudnn.CUDNN_DATA_BFLOAT16();
        return tensor(id, type, new long[] {s.batch, s.out, s.outHeight, s.outWidth}, new long[] {batch, 1, row, pixel},
                between);
    }

    private CudnnDescriptor tensor(int id, int type, long[] dims, long[] strides, boolean between) {
        CudnnDescriptor tensor = part(Cudnn.CUDNN_BACKEND_TENSOR_DESCRIPTOR())
                .setEnum(Cudnn.CUDNN_ATTR_TENSOR_DATA_TYPE(), Cudnn.CUDNN_TYPE_DATA_TYPE(), type)
                .set(Cudnn.CUDNN_ATTR_TENSOR_DIMENSIONS(), Cudnn.CUDNN_TYPE_INT64(), dims)
                .set(Cudnn.CUDNN_ATTR_TENSOR_STRIDES(), Cudnn.CUDNN_TYPE_INT64(), strides)
                .set(Cudnn.CUDNN_ATTR_TENSOR_UNIQUE_ID(), Cudnn.CUDNN_TYPE_INT64(), id)
                .set(Cudnn.CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT(), Cudnn.CUDNN_TYPE_INT64(), ALIGNMENT_BYTES);
        if (between) {
            tensor.setTrue(Cudnn.CUDNN_ATTR_TENSOR_IS_VIRTUAL());
        }
        return tensor.finish();
    }

    @Override
    public void close() {
        parts.reversed().forEach(CudnnDescriptor::close);
        parts.clear();
    }
}
