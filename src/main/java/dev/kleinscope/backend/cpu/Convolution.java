package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Convolutions: as the products do them, if they do; else Winograd's where that takes fewer products; else as a linear layer on the window
 * of each output pixel. Windows are gathered as the product packs its rows, a few at a time, so that they take no memory of their own.
 */
final class Convolution {

    private Convolution() {
    }

    /** @return whether {@code added} is in the result already */
    static boolean run(Workers workers, Products products, Tensor x, Conv2d layer, Tensor added, Tensor out) {
        if (products.convolve(x, layer, out)) {
            return added == null;
        }
        if (WinogradConvolution.suits(layer, out)) {
            WinogradConvolution.run(workers, x, layer, added, out);
            return true;
        }
        direct(workers, products, x, layer, out);
        return added == null;
    }

    /** As a linear layer: a pixel's bits depend on nothing that it does not see. */
    static void direct(Workers workers, Products products, Tensor x, Conv2d layer, Tensor out) {
        Tensor weight = layer.weight();
        Linear flat = new Linear(weight.reshape(weight.dim(0), weight.dim(1) * weight.dim(2) * weight.dim(3)), layer.bias());
        if (layer.pointwise() && weight.shape().elements() >= OneDnnProducts.LEAST_WEIGHTS) {
            products.linear(x, flat, out);
        } else {
            LinearKernel.runOnPackedWeights(workers, layer.pointwise() ? Rows.of(x) : new Windows(x, layer, out), flat, out);
        }
    }

    /** Row i is what output pixel i sees: kernel rows from the top, in each the pixels from the left, in each the channels. */
    private static final class Windows implements Rows {

        private final Tensor x;
        private final MemorySegment segment;
        private final Conv2d layer;
        private final long rows;
        private final long outHeight;
        private final long outWidth;
        private final int height;
        private final int width;
        private final int channels;
        private final int kernelWidth;
        /** Neighbouring pixels that lie side by side in memory. */
        private final int run;

        Windows(Tensor x, Conv2d layer, Tensor out) {
            this.x = x;
            this.layer = layer;
            segment = HostRows.segment(x);
            rows = out.rows();
            outHeight = out.dim(1);
            outWidth = out.dim(2);
            height = Math.toIntExact(x.dim(1));
            width = Math.toIntExact(x.dim(2));
            channels = Math.toIntExact(x.dim(3));
            kernelWidth = Math.toIntExact(layer.kernelWidth());
            run = x.stride(2) == channels ? kernelWidth : 1;
        }

        @Override
        public long count() {
            return rows;
        }

        @Override
        public void read(long row, int from, int count, float[] values, int to) {
            long batch = row / outWidth / outHeight;
            int top = Math.toIntExact(row / outWidth % outHeight * layer.stride() - layer.padding().top());
            int left = Math.toIntExact(row % outWidth * layer.stride() - layer.padding().left());
            int end = from + count;
            for (int at = from; at < end;) {
                int pixel = at / channels;
                int y = top + pixel / kernelWidth;
                int column = pixel % kernelWidth;
                int pixels = Math.min(run, kernelWidth - column);
                int next = Math.min(end, (pixel + pixels) * channels);
                long line = x.offset() + batch * x.stride(0) + y * x.stride(1);
                gather(line, y >= 0 && y < height, left + column, at - pixel * channels, next - at, values, to + at - from);
                at = next;
            }
        }

        /** Elements of one line of the picture, zeros where it has none. */
        private void gather(long line, boolean inside, int column, int channel, int count, float[] values, int to) {
            int first = inside ? Math.clamp((long) -column * channels - channel, 0, count) : count;
            int last = inside ? Math.clamp((long) (width - column) * channels - channel, first, count) : count;
            Arrays.fill(values, to, to + first, 0f);
            if (first < last) {
                long element = line + column * x.stride(2) + channel + first;
                MemorySegment.copy(segment, Lanes.FLOAT, element * Float.BYTES, values, to + first, last - first);
            }
            Arrays.fill(values, to + last, to + count, 0f);
        }
    }
}
