package dev.kleinscope.ops;

import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;

/**
 * A two-dimensional convolution.
 *
 * @param weight [out, height, width, in], prepared by {@link Ops#convWeight}
 * @param bias [out], or null
 * @param stride pixels from one output to the next, both ways
 * @param padding zeros around the picture
 */
public record Conv2d(Tensor weight, Tensor bias, long stride, Padding padding) {

    /** Rows and columns of zeros around a picture. */
    public record Padding(long top, long left, long bottom, long right) {

        public static final Padding NONE = new Padding(0, 0, 0, 0);

        public static Padding around(long size) {
            return new Padding(size, size, size, size);
        }
    }

    /** @throws IllegalArgumentException if the weight has not four dimensions, the stride is not positive or padding negative */
    public Conv2d {
        if (weight.shape().rank() != 4 || stride < 1
                || Math.min(Math.min(padding.top(), padding.left()), Math.min(padding.bottom(), padding.right())) < 0) {
            throw new IllegalArgumentException("convolution: expected a weight [out, height, width, in], a positive stride"
                    + " and no negative padding; found " + weight.name() + weight.shape() + ", " + stride + ", " + padding);
        }
    }

    public long in() {
        return weight.dim(3);
    }

    public long out() {
        return weight.dim(0);
    }

    public long kernelHeight() {
        return weight.dim(1);
    }

    public long kernelWidth() {
        return weight.dim(2);
    }

    /** Whether each output pixel depends on its own input pixel alone. */
    public boolean pointwise() {
        return kernelHeight() == 1 && kernelWidth() == 1 && stride == 1 && padding.equals(Padding.NONE);
    }

    /** Shape of the result for pictures [batch, height, width, in]. @throws IllegalArgumentException if the kernel exceeds them */
    public Shape outShape(Shape x) {
        if (x.rank() != 4) {
            throw new IllegalArgumentException("conv2d: x must be [batch, height, width, in], found " + x);
        }
        long height = x.dim(1) + padding.top() + padding.bottom() - kernelHeight();
        long width = x.dim(2) + padding.left() + padding.right() - kernelWidth();
        if (height < 0 || width < 0) {
            throw new IllegalArgumentException("conv2d: x " + x + " with " + padding + " is smaller than the kernel of weight "
                    + weight.name() + weight.shape());
        }
        return Shape.of(x.dim(0), height / stride + 1, width / stride + 1, out());
    }
}
