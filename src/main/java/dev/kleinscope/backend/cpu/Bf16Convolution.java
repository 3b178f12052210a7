package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.HostFrames;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/**
 * Convolutions of pictures by BF16 kernels with activations rounded to bf16 and sums in f32, a few lines of the result at a time, so that
 * what is rounded takes little memory.
 */
final class Bf16Convolution {

    /** Weights and channels that are worth rounding a picture for. */
    private static final long LEAST_WEIGHTS = 1 << 16;
    private static final long LEAST_CHANNELS = 16;
    private static final long STRIP_BYTES = 8 << 20;

    private Bf16Convolution() {
    }

    /** What multiplies rounded pictures. */
    interface Convolver {

        /**
         * Makes ready for pictures of one size.
         *
         * @param layer weights in BF16; not padded at the top and bottom
         * @param height of what is given
         * @param width of what is given
         * @param out of the size of the results and with their strides
         * @return valid until the next call; null, with nothing done, if it cannot
         */
        Prepared prepare(Conv2d layer, long height, long width, Tensor out);

        /** A convolution of pictures of one size. */
        interface Prepared {

            /**
             * @param x bf16 [1, height, width, in], contiguous
             * @param out f32 [1, ., ., out]
             */
            void run(Tensor x, Tensor out);
        }
    }

    static boolean suits(Conv2d layer) {
        return layer.weight().dtype() == DType.BF16 && !layer.pointwise() && layer.weight().shape().elements() >= LEAST_WEIGHTS
                && Math.min(layer.in(), layer.out()) >= LEAST_CHANNELS;
    }

    /** @return false, with nothing done, where it is not worth it or {@code convolver} cannot */
    static boolean run(Workers workers, HostFrames frames, Convolver convolver, Tensor x, Conv2d layer, Tensor out) {
        return run(workers, frames, convolver, x, layer, out, STRIP_BYTES);
    }

    /** @param stripBytes what is rounded at once, about */
    static boolean run(Workers workers, HostFrames frames, Convolver convolver, Tensor x, Conv2d layer, Tensor out, long stripBytes) {
        if (!suits(layer) || out.shape().elements() == 0) {
            return false;
        }
        Conv2d.Padding padding = layer.padding();
        Conv2d unpadded = new Conv2d(layer.weight(), layer.bias(), layer.stride(),
                new Conv2d.Padding(0, padding.left(), 0, padding.right()));
        long lineBytes = x.dim(2) * x.dim(3) * Short.BYTES;
        long lines = Math.clamp(stripBytes / (lineBytes * layer.stride()), 1, out.dim(1));
        long read = (lines - 1) * layer.stride() + layer.kernelHeight();
        Convolver.Prepared strips = convolver.prepare(unpadded, read, x.dim(2), out.slice(0, 0, 1).slice(1, 0, lines));
        if (strips == null) {
            return false;
        }
        try (Frame _ = frames.open()) {
            Shape shape = Shape.of(1, read, x.dim(2), x.dim(3));
            Tensor rounded = Tensor.of(x.name(), DType.BF16, shape, frames.alloc(Shape.of(Math.ceilDiv(shape.elements(), 2))).storage());
            for (long batch = 0; batch < x.dim(0); batch++) {
                for (long first = 0; first < out.dim(1); first += lines) {
                    // the last strip begins earlier rather than being smaller: its lines come out the same again
                    long from = Math.min(first, out.dim(1) - lines);
                    round(workers, x, batch, from * layer.stride() - padding.top(), rounded);
                    strips.run(rounded, out.slice(0, batch, batch + 1).slice(1, from, from + lines));
                }
            }
        }
        return true;
    }

    /** Lines of a picture from {@code top} on; those that it has not are zeros. */
    private static void round(Workers workers, Tensor x, long batch, long top, Tensor rounded) {
        MemorySegment from = HostRows.segment(x);
        MemorySegment to = HostRows.segment(rounded);
        int channels = Math.toIntExact(x.dim(3));
        long width = x.dim(2);
        long lineBytes = width * channels * Short.BYTES;
        boolean together = x.stride(2) == channels;
        workers.run(Math.toIntExact(rounded.dim(1)), (line, _) -> {
            long y = top + line;
            long target = line * lineBytes;
            if (y < 0 || y >= x.dim(1)) {
                to.asSlice(target, lineBytes).fill((byte) 0);
                return;
            }
            long source = x.offset() + batch * x.stride(0) + y * x.stride(1);
            if (together) {
                Bf16Products.round(from, source * Float.BYTES, to, target, Math.toIntExact(width * channels));
                return;
            }
            for (long column = 0; column < width; column++) {
                Bf16Products.round(from, (source + column * x.stride(2)) * Float.BYTES, to, target + column * channels * Short.BYTES,
                        channels);
            }
        });
    }
}
