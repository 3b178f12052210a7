package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.WeightGroup;
import java.lang.foreign.MemorySegment;

/** One weight's bytes in a mapped file. */
final class MappedPiece {

    private final WeightGroup owner;
    private final MemorySegment bytes;
    /** The next that a forward uses, as far as the order of loading tells; null for the last. */
    private MappedPiece next;
    private boolean resident;
    private boolean announced;

    MappedPiece(WeightGroup owner, MemorySegment bytes) {
        this.owner = owner;
        this.bytes = bytes;
    }

    /** The model's weights that it is one of. */
    WeightGroup owner() {
        return owner;
    }

    long address() {
        return bytes.address();
    }

    long size() {
        return bytes.byteSize();
    }

    MappedPiece next() {
        return next;
    }

    void followedBy(MappedPiece piece) {
        next = piece;
    }

    /** Whether it counts as in memory, because it was used and not released since. */
    boolean resident() {
        return resident;
    }

    void enter() {
        resident = true;
        announced = true;
    }

    /** Notes that it will be needed. @return false if that was noted before */
    boolean announce() {
        boolean first = !announced;
        announced = true;
        return first;
    }

    /** Takes its pages from this process. They may stay in the kernel's cache, and come back when they are read. */
    void release() {
        resident = false;
        announced = false;
        if (bytes.scope().isAlive()) {
            bytes.unload();
        }
    }
}
