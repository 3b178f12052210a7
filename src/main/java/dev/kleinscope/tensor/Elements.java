package dev.kleinscope.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Reading elements of any numeric {@link DType} from host memory as f32. All layouts are little-endian and unaligned. */
final class Elements {

    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final int PIECE = 4096;

    private Elements() {
    }

    static void read(MemorySegment segment, DType dtype, long offset, int count, float[] target, int targetOffset) {
        if (dtype == DType.F32) {
            MemorySegment.copy(segment, FLOAT, offset * 4, target, targetOffset, count);
            return;
        }
        if (dtype == DType.BF16) {
            readBFloat16(segment, offset, count, target, targetOffset);
            return;
        }
        for (int i = 0; i < count; i++) {
            target[targetOffset + i] = (float) get(segment, dtype, offset + i);
        }
    }

    /** By pieces in an array, which is fast also before the loop is compiled. */
    private static void readBFloat16(MemorySegment segment, long offset, int count, float[] target, int targetOffset) {
        short[] piece = new short[Math.min(count, PIECE)];
        for (int done = 0; done < count; done += PIECE) {
            int length = Math.min(PIECE, count - done);
            MemorySegment.copy(segment, SHORT, (offset + done) * 2, piece, 0, length);
            for (int i = 0; i < length; i++) {
                target[targetOffset + done + i] = BFloat16.toFloat(piece[i]);
            }
        }
    }

    /** @throws UnsupportedOperationException for packed and complex types, which no model here uses as numbers */
    static double get(MemorySegment segment, DType dtype, long index) {
        return switch (dtype) {
            case F32 -> segment.get(FLOAT, index * 4);
            case BF16 -> BFloat16.toFloat(segment.get(SHORT, index * 2));
            case F16 -> Float.float16ToFloat(segment.get(SHORT, index * 2));
            case F64 -> segment.get(DOUBLE, index * 8);
            case BOOL, U8 -> segment.get(ValueLayout.JAVA_BYTE, index) & 0xff;
            case I8 -> segment.get(ValueLayout.JAVA_BYTE, index);
            case I16 -> segment.get(SHORT, index * 2);
            case U16 -> segment.get(SHORT, index * 2) & 0xffff;
            case I32 -> segment.get(INT, index * 4);
            case U32 -> segment.get(INT, index * 4) & 0xffffffffL;
            case I64 -> segment.get(LONG, index * 8);
            case U64 -> unsigned(segment.get(LONG, index * 8));
            case F8_E4M3 -> small(segment.get(ValueLayout.JAVA_BYTE, index), 3, 7, false);
            case F8_E5M2 -> small(segment.get(ValueLayout.JAVA_BYTE, index), 2, 15, true);
            default -> throw new UnsupportedOperationException("values of type " + dtype + " cannot be read as numbers");
        };
    }

    private static double unsigned(long value) {
        return value >= 0 ? value : (value >>> 1 | value & 1) * 2.0;
    }

    /** An 8-bit float; E4M3 has no infinity and one NaN pattern, E5M2 follows IEEE 754. */
    private static double small(byte bits, int mantissaBits, int bias, boolean ieee) {
        int sign = bits < 0 ? -1 : 1;
        int exponent = (bits & 0x7f) >>> mantissaBits;
        int mantissa = bits & ((1 << mantissaBits) - 1);
        int top = (0x7f >>> mantissaBits);
        if (ieee && exponent == top) {
            return mantissa == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN;
        }
        if (!ieee && (bits & 0x7f) == 0x7f) {
            return Double.NaN;
        }
        double fraction = mantissa / (double) (1 << mantissaBits);
        return exponent == 0
                ? sign * Math.scalb(fraction, 1 - bias)
                : sign * Math.scalb(1 + fraction, exponent - bias);
    }
}
