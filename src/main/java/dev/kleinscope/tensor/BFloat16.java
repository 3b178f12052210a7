package dev.kleinscope.tensor;

/** Conversion between f32 and bf16 (the upper half of an f32), rounding to nearest even. */
public final class BFloat16 {

    private BFloat16() {
    }

    /** The f32 whose upper half these bits are. */
    public static float toFloat(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /** The bits of the nearest bf16; NaN stays NaN. */
    public static short fromFloat(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    /** {@code value} rounded to bf16 and widened again. */
    public static float round(float value) {
        return toFloat(fromFloat(value));
    }
}
