package dev.kleinscope.ops;

import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/** Memory of the host that {@link Ops#download} fills, or {@link #fetch}. Ends when it or the backend closes. */
public interface HostBuffer extends AutoCloseable {

    MemorySegment segment();

    /**
     * A part of this buffer's twin where the backend computes, for operations to write to: F32, zero at first. It lasts as long as the
     * buffer does.
     *
     * @param from first byte, a multiple of 16
     * @throws IndexOutOfBoundsException if the buffer is too small
     */
    Tensor tensor(long from, Shape shape);

    /** Queues a copy of the twin's first bytes to the host, beside what the backend goes on computing. */
    void fetch(long bytes);

    @Override
    void close();
}
