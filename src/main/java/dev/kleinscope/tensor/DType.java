package dev.kleinscope.tensor;

/**
 * Element types of the safetensors format, with the format's own names.
 *
 * <p>Source: safetensors 0.6 {@code Dtype}. Types narrower than a byte are packed; a tensor of them must fill whole bytes.
 */
public enum DType {
    /** A truth value in a byte. */
    BOOL(8),
    /** 4-bit float, packed. */
    F4(4),
    /** 6-bit float with 2 bits of exponent, packed. */
    F6_E2M3(6),
    /** 6-bit float with 3 bits of exponent, packed. */
    F6_E3M2(6),
    /** Unsigned byte. */
    U8(8),
    /** Signed byte. */
    I8(8),
    /** 8-bit float with 5 bits of exponent. */
    F8_E5M2(8),
    /** 8-bit float with 4 bits of exponent and no infinities. */
    F8_E4M3(8),
    /** 8-bit power of two, a scale. */
    F8_E8M0(8),
    /** As {@link #F8_E4M3}, without a negative zero. */
    F8_E4M3FNUZ(8),
    /** As {@link #F8_E5M2}, without infinities and a negative zero. */
    F8_E5M2FNUZ(8),
    /** Signed 16-bit integer. */
    I16(16),
    /** Unsigned 16-bit integer. */
    U16(16),
    /** IEEE 754 half precision. */
    F16(16),
    /** The upper half of an f32. */
    BF16(16),
    /** Signed 32-bit integer. */
    I32(32),
    /** Unsigned 32-bit integer. */
    U32(32),
    /** IEEE 754 single precision. */
    F32(32),
    /** Two f32: a complex number. */
    C64(64),
    /** IEEE 754 double precision. */
    F64(64),
    /** Signed 64-bit integer. */
    I64(64),
    /** Unsigned 64-bit integer. */
    U64(64);

    private final int bits;

    DType(int bits) {
        this.bits = bits;
    }

    /** Bits an element occupies. */
    public int bits() {
        return bits;
    }

    /**
     * Bytes of {@code elements} elements.
     *
     * @throws ArithmeticException if the size overflows a long or does not fill whole bytes
     */
    public long bytes(long elements) {
        long total = Math.multiplyExact(elements, (long) bits);
        if ((total & 7) != 0) {
            throw new ArithmeticException(elements + " elements of " + this + " do not fill whole bytes");
        }
        return total >>> 3;
    }
}
