package dev.kleinscope.ops;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Convolution kernels in host memory. */
public final class HostKernels {

    private HostKernels() {
    }

    /**
     * A kernel with its input channels innermost, in its own type.
     *
     * @param mapped [out, in, height, width]; contiguous, elements of whole bytes
     * @return [out, height, width, in], owned by {@code frames}
     */
    public static Tensor channelsLast(Tensor mapped, HostFrames frames) {
        OpShapes.convWeight(mapped);
        DType dtype = mapped.dtype();
        if (!mapped.contiguous() || dtype.bits() % Byte.SIZE != 0) {
            throw new IllegalArgumentException("convWeight: expected a contiguous weight of numbers, found " + mapped.name()
                    + mapped.shape() + " " + dtype);
        }
        int bytes = dtype.bits() / Byte.SIZE;
        long in = mapped.dim(1);
        long pixels = mapped.dim(2) * mapped.dim(3);
        MemorySegment from = HostRows.segment(mapped).asSlice(mapped.offset() * bytes, dtype.bytes(mapped.shape().elements()));
        MemorySegment to = frames.keep(from.byteSize());
        for (long out = 0; out < mapped.dim(0); out++) {
            for (long channel = 0; channel < in; channel++) {
                for (long pixel = 0; pixel < pixels; pixel++) {
                    move(from, ((out * in + channel) * pixels + pixel) * bytes, to, ((out * pixels + pixel) * in + channel) * bytes,
                            bytes);
                }
            }
        }
        return Tensor.of(mapped.name(), dtype, Shape.of(mapped.dim(0), mapped.dim(2), mapped.dim(3), in), new HostStorage(to));
    }

    private static void move(MemorySegment from, long fromByte, MemorySegment to, long toByte, int bytes) {
        switch (bytes) {
            case 2 -> to.set(ValueLayout.JAVA_SHORT_UNALIGNED, toByte, from.get(ValueLayout.JAVA_SHORT_UNALIGNED, fromByte));
            case 4 -> to.set(ValueLayout.JAVA_INT_UNALIGNED, toByte, from.get(ValueLayout.JAVA_INT_UNALIGNED, fromByte));
            default -> MemorySegment.copy(from, fromByte, to, toByte, bytes);
        }
    }
}
