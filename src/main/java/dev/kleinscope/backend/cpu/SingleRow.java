package dev.kleinscope.backend.cpu;

/**
 * The sums of a single row, which fills no vector: eight rows of weights at a time, each number by itself, so that what bounds it is the
 * memory that weights come from. The same bits as {@link Tile}'s.
 */
final class SingleRow {

    /** Rows of weights of a call: as many sums keep both multipliers busy. */
    static final int ROWS = 8;

    private SingleRow() {
    }

    /**
     * {@code c[r] += sum_t a[r][t] x[t]}, over the terms in their order; {@code c[r] = ..} if {@code first}.
     *
     * @param a from {@code aFrom} on {@link #ROWS} rows, {@link Tile#TERMS} apart
     * @param x from {@code xFrom} on {@code terms} numbers
     * @param terms at most {@link Tile#TERMS}
     */
    static void multiply(float[] a, int aFrom, float[] x, int xFrom, int terms, float[] c, int to, boolean first) {
        float c0 = 0;
        float c1 = 0;
        float c2 = 0;
        float c3 = 0;
        float c4 = 0;
        float c5 = 0;
        float c6 = 0;
        float c7 = 0;
        for (int t = 0; t < terms; t++) {
            float value = x[xFrom + t];
            c0 = Math.fma(a[aFrom + t], value, c0);
            c1 = Math.fma(a[aFrom + t + Tile.TERMS], value, c1);
            c2 = Math.fma(a[aFrom + t + 2 * Tile.TERMS], value, c2);
            c3 = Math.fma(a[aFrom + t + 3 * Tile.TERMS], value, c3);
            c4 = Math.fma(a[aFrom + t + 4 * Tile.TERMS], value, c4);
            c5 = Math.fma(a[aFrom + t + 5 * Tile.TERMS], value, c5);
            c6 = Math.fma(a[aFrom + t + 6 * Tile.TERMS], value, c6);
            c7 = Math.fma(a[aFrom + t + 7 * Tile.TERMS], value, c7);
        }
        c[to] = first ? c0 : c[to] + c0;
        c[to + 1] = first ? c1 : c[to + 1] + c1;
        c[to + 2] = first ? c2 : c[to + 2] + c2;
        c[to + 3] = first ? c3 : c[to + 3] + c3;
        c[to + 4] = first ? c4 : c[to + 4] + c4;
        c[to + 5] = first ? c5 : c[to + 5] + c5;
        c[to + 6] = first ? c6 : c[to + 6] + c6;
        c[to + 7] = first ? c7 : c[to + 7] + c7;
    }
}
