package dev.kleinscope.pipeline;

/** mt19937 (Matsumoto and Nishimura 1998, initialised as in 2002), which torch's CPU generator is. */
final class MersenneTwister {

    private static final int SIZE = 624;
    private static final int SHIFT = 397;

    private final int[] state = new int[SIZE];
    private int next = SIZE;

    /** @param seed only its low 32 bits count, as in torch */
    MersenneTwister(long seed) {
        state[0] = (int) seed;
        for (int i = 1; i < SIZE; i++) {
            state[i] = 1812433253 * (state[i - 1] ^ (state[i - 1] >>> 30)) + i;
        }
    }

    /** 32 random bits. */
    int bits32() {
        if (next == SIZE) {
            advance();
        }
        int y = state[next++];
        y ^= y >>> 11;
        y ^= (y << 7) & 0x9d2c5680;
        y ^= (y << 15) & 0xefc60000;
        return y ^ (y >>> 18);
    }

    /** 64 random bits, the first draw in the upper half. */
    long bits64() {
        long high = bits32();
        return high << 32 | Integer.toUnsignedLong(bits32());
    }

    private void advance() {
        for (int i = 0; i < SIZE; i++) {
            int following = state[i + 1 == SIZE ? 0 : i + 1];
            int mixed = (state[i] & 0x80000000) | (following & 0x7fffffff);
            int partner = state[i < SIZE - SHIFT ? i + SHIFT : i + SHIFT - SIZE];
            state[i] = partner ^ (mixed >>> 1) ^ (-(following & 1) & 0x9908b0df);
        }
        next = 0;
    }
}
