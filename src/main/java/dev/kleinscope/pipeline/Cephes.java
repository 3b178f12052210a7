package dev.kleinscope.pipeline;

/**
 * Logarithm, sine and cosine in f32, as the Cephes library (Moshier 1992) and its SIMD descendants compute them, with the
 * multiply-adds fused that torch's compiler fuses. Not more exact than {@link Math}: torch's noise has the last bits of
 * these very operations in it.
 */
final class Cephes {

    private static final float SQRT_HALF = 0.707106781186547524f;
    private static final float FOUR_OVER_PI = 1.27323954473516f;

    private Cephes() {
    }

    /** Natural logarithm of a positive normal number. */
    static float log(float value) {
        int bits = Float.floatToRawIntBits(value);
        float exponent = (bits >>> 23) - 126;
        float x = Float.intBitsToFloat((bits & 0x007fffff) | 0x3f000000);
        if (x < SQRT_HALF) {
            exponent -= 1f;
            x = (x - 1f) + x;
        } else {
            x -= 1f;
        }
        float square = x * x;
        float y = 7.0376836292E-2f;
        y = Math.fma(y, x, -1.1514610310E-1f);
        y = Math.fma(y, x, 1.1676998740E-1f);
        y = Math.fma(y, x, -1.2420140846E-1f);
        y = Math.fma(y, x, 1.4249322787E-1f);
        y = Math.fma(y, x, -1.6668057665E-1f);
        y = Math.fma(y, x, 2.0000714765E-1f);
        y = Math.fma(y, x, -2.4999993993E-1f);
        y = Math.fma(y, x, 3.3333331174E-1f);
        y = Math.fma(y * x, square, exponent * -2.12194440e-4f);
        y -= square * 0.5f;
        return Math.fma(exponent, 0.693359375f, x + y);
    }

    /** Sine of an angle from 0 to 8192. */
    static float sin(float angle) {
        int octant = octant(angle);
        float x = reduce(angle, octant);
        float y = (octant & 2) == 0 ? sinPolynomial(x) : cosPolynomial(x);
        return (octant & 4) == 0 ? y : -y;
    }

    /** Cosine of an angle from 0 to 8192. */
    static float cos(float angle) {
        int octant = octant(angle);
        float x = reduce(angle, octant);
        float y = (octant & 2) == 0 ? cosPolynomial(x) : sinPolynomial(x);
        return (octant + 2 & 4) == 0 ? y : -y;
    }

    /** The even one of the two multiples of pi/4 about the angle. */
    private static int octant(float angle) {
        return (int) (angle * FOUR_OVER_PI) + 1 & ~1;
    }

    /** The angle less its octant's, pi/4 being split in three so that the differences stay exact. */
    private static float reduce(float angle, float octant) {
        float x = Math.fma(octant, -0.78515625f, angle);
        x = Math.fma(octant, -2.4187564849853515625e-4f, x);
        return Math.fma(octant, -3.77489497744594108e-8f, x);
    }

    private static float cosPolynomial(float x) {
        float z = x * x;
        float y = 2.443315711809948E-005f;
        y = Math.fma(y, z, -1.388731625493765E-003f);
        y = Math.fma(y, z, 4.166664568298827E-002f);
        return Math.fma(y * z, z, z * -0.5f) + 1f;
    }

    private static float sinPolynomial(float x) {
        float z = x * x;
        float y = -1.9515295891E-4f;
        y = Math.fma(y, z, 8.3321608736E-3f);
        y = Math.fma(y, z, -1.6666654611E-1f);
        return Math.fma(y * z, x, x);
    }
}
