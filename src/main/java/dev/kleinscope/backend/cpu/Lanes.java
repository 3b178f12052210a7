package dev.kleinscope.backend.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** The machine's vectors, and what has one meaning whether compiled or interpreted. */
final class Lanes {

    static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
    static final int COUNT = FLOATS.length();
    static final int BITS = FLOATS.vectorBitSize();
    /** Vector registers: AVX-512 and ARM have twice as many as AVX. */
    static final int REGISTERS = BITS == 512 || System.getProperty("os.arch").equals("aarch64") ? 32 : 16;
    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final VectorSpecies<Integer> INTS = FLOATS.withLanes(int.class);
    private static final VectorSpecies<Short> SHORTS = VectorSpecies.of(short.class,
            VectorShape.forBitSize(Math.max(64, BITS / 2)));

    /** Adding it leaves the nearest integer in the low bits. */
    private static final float ROUNDING = 0x1.8p23f;
    private static final int ROUNDING_BITS = Float.floatToRawIntBits(ROUNDING);

    private Lanes() {
    }

    static FloatVector load(MemorySegment segment, long byteOffset) {
        return FloatVector.fromMemorySegment(FLOATS, segment, byteOffset, ByteOrder.LITTLE_ENDIAN);
    }

    static void store(FloatVector vector, MemorySegment segment, long byteOffset) {
        vector.intoMemorySegment(segment, byteOffset, ByteOrder.LITTLE_ENDIAN);
    }

    /** As many bf16 values as there are lanes. */
    static FloatVector loadBf16(MemorySegment segment, long byteOffset) {
        IntVector bits = (IntVector) ShortVector.fromMemorySegment(SHORTS, segment, byteOffset, ByteOrder.LITTLE_ENDIAN)
                .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0);
        return bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
    }

    /** Rounds to bf16: to nearest, ties to even; a NaN stays one. */
    static void storeBf16(FloatVector vector, MemorySegment segment, long byteOffset) {
        IntVector bits = vector.reinterpretAsInts();
        IntVector upper = bits.lanewise(VectorOperators.LSHR, 16);
        IntVector rounded = bits.add(0x7fff).add(upper.and(1)).lanewise(VectorOperators.LSHR, 16)
                .blend(upper.or(0x40), vector.test(VectorOperators.IS_NAN).cast(INTS));
        ((ShortVector) rounded.convertShape(VectorOperators.I2S, SHORTS, 0)).intoMemorySegment(segment, byteOffset,
                ByteOrder.LITTLE_ENDIAN);
    }

    /** The elements that {@code mask} names, and zeros. */
    static FloatVector load(MemorySegment segment, long byteOffset, VectorMask<Float> mask) {
        return FloatVector.fromMemorySegment(FLOATS, segment, byteOffset, ByteOrder.LITTLE_ENDIAN, mask);
    }

    static void store(FloatVector vector, MemorySegment segment, long byteOffset, VectorMask<Float> mask) {
        vector.intoMemorySegment(segment, byteOffset, ByteOrder.LITTLE_ENDIAN, mask);
    }

    /**
     * {@code e^x} within 2 ulp, clamped to [-87, 88]; NaN stays NaN. The coefficients are Cephes' expf; unlike
     * {@link VectorOperators#EXP} it gives the same bits compiled and interpreted.
     */
    static FloatVector exp(FloatVector x) {
        FloatVector clamped = x.max(-87f).min(88f);
        FloatVector shifted = clamped.fma(broadcast(1.44269504f), broadcast(ROUNDING));
        FloatVector n = shifted.sub(ROUNDING);
        FloatVector r = n.fma(broadcast(-0.693359375f), clamped);
        r = n.fma(broadcast(2.12194440e-4f), r);
        FloatVector p = r.fma(broadcast(1.9875691500e-4f), broadcast(1.3981999507e-3f));
        p = p.fma(r, broadcast(8.3334519073e-3f));
        p = p.fma(r, broadcast(4.1665795894e-2f));
        p = p.fma(r, broadcast(1.6666665459e-1f));
        p = p.fma(r, broadcast(5.0000001201e-1f));
        p = p.fma(r.mul(r), r).add(1f);
        IntVector exponent = shifted.reinterpretAsInts().add(127 - ROUNDING_BITS).lanewise(VectorOperators.LSHL, 23);
        return p.mul(exponent.reinterpretAsFloats());
    }

    /**
     * {@code 2^x} within 2 ulp for x of at most 127, and 2^-126 below that; NaN stays NaN. The polynomial is the one of degree 6 whose largest
     * relative error between -0.5 and 0.5 is least, with 1 as its constant; 1.6e-8 after its coefficients are rounded.
     */
    static FloatVector exp2(FloatVector x) {
        // compared and blended, since FloatVector.max takes thrice as many instructions
        FloatVector clamped = x.blend(-126f, x.compare(VectorOperators.LT, -126f));
        FloatVector shifted = clamped.add(ROUNDING);
        FloatVector r = clamped.sub(shifted.sub(ROUNDING));
        FloatVector p = r.fma(broadcast(0x1.41fbbcp-13f), broadcast(0x1.5f3e52p-10f));
        p = p.fma(r, broadcast(0x1.3b2d4cp-7f));
        p = p.fma(r, broadcast(0x1.c6aee8p-5f));
        p = p.fma(r, broadcast(0x1.ebfbdcp-3f));
        p = p.fma(r, broadcast(0x1.62e430p-1f));
        p = p.fma(r, broadcast(1f));
        IntVector exponent = shifted.reinterpretAsInts().add(127 - ROUNDING_BITS).lanewise(VectorOperators.LSHL, 23);
        return p.mul(exponent.reinterpretAsFloats());
    }

    /** {@code x / (1 + e^-x)}. */
    static FloatVector silu(FloatVector x) {
        return x.div(exp(x.neg()).add(1f));
    }

    /**
     * {@code x Phi(x)} with Phi from the complementary error function as Numerical Recipes approximates it, to 1.2e-7 of
     * its value.
     */
    static FloatVector gelu(FloatVector x) {
        FloatVector z = x.abs().mul((float) Math.sqrt(0.5));
        FloatVector t = broadcast(1f).div(z.mul(0.5f).add(1f));
        FloatVector p = t.fma(broadcast(0.17087277f), broadcast(-0.82215223f));
        p = p.fma(t, broadcast(1.48851587f));
        p = p.fma(t, broadcast(-1.13520398f));
        p = p.fma(t, broadcast(0.27886807f));
        p = p.fma(t, broadcast(-0.18628806f));
        p = p.fma(t, broadcast(0.09678418f));
        p = p.fma(t, broadcast(0.37409196f));
        p = p.fma(t, broadcast(1.00002368f));
        p = p.fma(t, broadcast(-1.26551223f));
        FloatVector tail = t.mul(exp(z.neg().fma(z, p))).mul(x.abs()).mul(0.5f);
        return x.max(0f).sub(tail);
    }

    /** {@code x (1 + tanh(u)) / 2}, which is {@code x / (1 + e^-2u)}. */
    static FloatVector tanhGelu(FloatVector x) {
        FloatVector twice = x.mul(x).fma(broadcast(0.044715f), broadcast(1f)).mul(x).mul((float) (2 * Math.sqrt(2 / Math.PI)));
        return x.div(exp(twice.neg()).add(1f));
    }

    static FloatVector broadcast(float value) {
        return FloatVector.broadcast(FLOATS, value);
    }

    /**
     * The sum of the lanes stored from {@code from} on, halving: the order is fixed, unlike that of
     * {@link FloatVector#reduceLanes}. Overwrites them.
     */
    static float sum(float[] lanes, int from) {
        if (COUNT == 8) {
            float first = (lanes[from] + lanes[from + 4]) + (lanes[from + 2] + lanes[from + 6]);
            float second = (lanes[from + 1] + lanes[from + 5]) + (lanes[from + 3] + lanes[from + 7]);
            return first + second;
        }
        for (int half = COUNT / 2; half > 0; half /= 2) {
            for (int i = 0; i < half; i++) {
                lanes[from + i] += lanes[from + i + half];
            }
        }
        return lanes[from];
    }
}
