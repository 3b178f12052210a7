package dev.kleinscope.backend.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Arrays that one thread reuses from operation to operation. Their content is undefined at the start of a chunk. */
final class Scratch {

    private final float[][] arrays = new float[5][0];
    private MemorySegment bytes = MemorySegment.NULL;

    /** An array of at least {@code size} floats; one for each slot 0..4. */
    float[] floats(int slot, int size) {
        if (arrays[slot].length < size) {
            arrays[slot] = new float[size];
        }
        return arrays[slot];
    }

    /** At least {@code size} bytes outside the heap, as activations are. */
    MemorySegment bytes(long size) {
        if (bytes.byteSize() < size) {
            bytes = Arena.ofAuto().allocate(size, Float.BYTES * Lanes.COUNT);
        }
        return bytes;
    }
}
