package dev.kleinscope.ops;

import java.lang.foreign.MemorySegment;

/** Memory of the host that {@link Ops#download} fills. Ends when it or the backend closes. */
public interface HostBuffer extends AutoCloseable {

    MemorySegment segment();

    @Override
    void close();
}
