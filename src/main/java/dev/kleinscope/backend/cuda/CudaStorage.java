package dev.kleinscope.backend.cuda;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Storage;
import java.lang.foreign.MemorySegment;

/** Memory of the GPU: a weight, or a block that a frame owns. */
final class CudaStorage implements Storage {

    private final Staging staging;
    private final String device;
    private final long address;
    private String freedBy;
    private MemorySegment lastRead;

    CudaStorage(Staging staging, String device, long address) {
        this.staging = staging;
        this.device = device;
        this.address = address;
    }

    /** Device address of the first element. @throws IllegalStateException if the memory was freed */
    long address() {
        if (freedBy != null) {
            throw new IllegalStateException("tensor used after " + freedBy + " freed it");
        }
        return address;
    }

    /** As {@link #address}, also of freed memory. */
    long rawAddress() {
        return address;
    }

    /** @return an event to wait for before the memory is written again, or null */
    MemorySegment free(String by) {
        freedBy = by;
        MemorySegment event = lastRead;
        lastRead = null;
        return event;
    }

    /** What {@link #free} would return, once; the memory stays in use. */
    MemorySegment takeRead() {
        MemorySegment event = lastRead;
        lastRead = null;
        return event;
    }

    /** Tells of a copy on another stream: the memory may not serve another tensor before {@code event}. */
    void readUntil(MemorySegment event) {
        lastRead = event;
    }

    /** Storage of the same memory, for a tensor of another life. */
    CudaStorage again() {
        return new CudaStorage(staging, device, address);
    }

    @Override
    public String device() {
        return device;
    }

    @Override
    public String freedBy() {
        return freedBy;
    }

    /** Through a pinned buffer; from the thread that opened the backend. */
    @Override
    public void read(DType dtype, long offset, int count, float[] target, int targetOffset) {
        staging.read(address() + dtype.bytes(offset), dtype, count, target, targetOffset);
    }
}
