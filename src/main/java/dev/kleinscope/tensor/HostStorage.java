package dev.kleinscope.tensor;

import java.lang.foreign.MemorySegment;

/** Memory of this process: a mapped file, or a buffer that a frame owns. */
public final class HostStorage implements Storage {

    private final MemorySegment segment;
    private volatile String freedBy;

    /** Storage that is this memory, which must outlive it or be freed with it. */
    public HostStorage(MemorySegment segment) {
        this.segment = segment;
    }

    /** @throws IllegalStateException if the memory was freed */
    public MemorySegment segment() {
        String by = freedBy;
        if (by != null) {
            throw new IllegalStateException("tensor used after " + by + " freed it");
        }
        return segment;
    }

    /** Marks the memory as returned to its owner. */
    public void free(String by) {
        freedBy = by;
    }

    @Override
    public String device() {
        return "cpu";
    }

    @Override
    public String freedBy() {
        return freedBy;
    }

    /**
     * One element, not rounded to f32; 64-bit integers are rounded to f64.
     *
     * @throws UnsupportedOperationException for packed and complex types
     */
    public double value(DType dtype, long index) {
        return Elements.get(segment(), dtype, index);
    }

    @Override
    public void read(DType dtype, long offset, int count, float[] target, int targetOffset) {
        Elements.read(segment(), dtype, offset, count, target, targetOffset);
    }
}
