package dev.kleinscope.pipeline.intervene;

import java.nio.charset.StandardCharsets;

/**
 * Numbers that depend on a seed, on what they are for and on their index alone, alike on every machine: SplitMix64's finaliser of a
 * counter. {@code tools/reference/interventions_reference.py} has the same in Python.
 */
final class SeededNumbers {

    private static final long GOLDEN = 0x9E3779B97F4A7C15L;

    private final long key;

    /** @param purposes what tells these numbers from others of the same seed */
    SeededNumbers(long seed, long... purposes) {
        long mixed = mix(seed + GOLDEN);
        for (long purpose : purposes) {
            mixed = mix(mixed + GOLDEN * (purpose + 1));
        }
        key = mixed;
    }

    /** Numbers for a point in one forward. */
    static SeededNumbers at(long seed, int step, int pass, String point) {
        byte[] name = point.getBytes(StandardCharsets.UTF_8);
        long[] purposes = new long[name.length + 2];
        purposes[0] = step;
        purposes[1] = pass;
        for (int i = 0; i < name.length; i++) {
            purposes[i + 2] = name[i] & 0xff;
        }
        return new SeededNumbers(seed, purposes);
    }

    private long number(long index) {
        return mix(key + GOLDEN * (index + 1));
    }

    boolean bit(long index) {
        return number(index) < 0;
    }

    /** From a normal distribution, by Box and Muller. */
    double normal(long index) {
        double radius = Math.sqrt(-2 * StrictMath.log(unit(2 * index)));
        return radius * StrictMath.cos(2 * Math.PI * unit(2 * index + 1));
    }

    /** Above 0, at most 1. */
    private double unit(long index) {
        return ((number(index) >>> 11) + 1) * 0x1p-53;
    }

    private static long mix(long z) {
        long once = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        long twice = (once ^ once >>> 27) * 0x94D049BB133111EBL;
        return twice ^ twice >>> 31;
    }
}
