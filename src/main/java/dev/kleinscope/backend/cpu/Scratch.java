package dev.kleinscope.backend.cpu;

/** Arrays that one thread reuses from operation to operation. Their content is undefined at the start of a chunk. */
final class Scratch {

    private final float[][] arrays = new float[5][0];

    /** An array of at least {@code size} floats; one for each slot 0..4. */
    float[] floats(int slot, int size) {
        if (arrays[slot].length < size) {
            arrays[slot] = new float[size];
        }
        return arrays[slot];
    }
}
