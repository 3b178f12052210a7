package dev.kleinscope.tensor;

/** Memory behind a tensor, on some device. */
public interface Storage {

    /** {@code "cpu"} or {@code "cuda:0"}. */
    String device();

    /** Null while the memory may be read; afterwards, what freed it. */
    String freedBy();

    /**
     * Copies elements, widened or rounded to f32, to the host. Blocks until the values are final.
     *
     * @param dtype element type the memory holds
     * @param offset first element
     * @param count elements to copy
     * @param target receives them from {@code targetOffset} on
     * @throws IllegalStateException if the memory was freed
     */
    void read(DType dtype, long offset, int count, float[] target, int targetOffset);
}
