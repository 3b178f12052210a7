package dev.kleinscope.tensor;

/**
 * Element types of the safetensors format, with the format's own names.
 *
 * <p>Source: safetensors 0.6 {@code Dtype}. Types narrower than a byte are packed; a tensor of them must fill whole bytes.
 */
public enum DType {
    BOOL(8), F4(4), F6_E2M3(6), F6_E3M2(6), U8(8), I8(8),
    F8_E5M2(8), F8_E4M3(8), F8_E8M0(8), F8_E4M3FNUZ(8), F8_E5M2FNUZ(8),
    I16(16), U16(16), F16(16), BF16(16),
    I32(32), U32(32), F32(32), C64(64), F64(64), I64(64), U64(64);

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
