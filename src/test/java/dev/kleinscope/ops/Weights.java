package dev.kleinscope.ops;

import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Weights as a mapped file holds them: of any float type, aligned to nothing. */
public final class Weights {

    private Weights() {
    }

    /** The values rounded to {@code type}, at an odd address. */
    public static Tensor of(DType type, HostTensor values) {
        float[] from = values.values();
        int bytes = type.bits() / 8;
        MemorySegment segment = Arena.ofAuto().allocate((long) from.length * bytes + 1, 64).asSlice(1);
        for (int i = 0; i < from.length; i++) {
            switch (type) {
                case F32 -> segment.set(ValueLayout.JAVA_FLOAT_UNALIGNED, i * 4L, from[i]);
                case F64 -> segment.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, i * 8L, from[i]);
                case BF16 -> segment.set(ValueLayout.JAVA_SHORT_UNALIGNED, i * 2L, BFloat16.fromFloat(from[i]));
                case F16 -> segment.set(ValueLayout.JAVA_SHORT_UNALIGNED, i * 2L, Float.floatToFloat16(from[i]));
                default -> throw new IllegalArgumentException("no weights of type " + type);
            }
        }
        return Tensor.of(values.name(), type, values.shape(), new HostStorage(segment));
    }
}
