package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/**
 * The sums that all products are made of: a few rows of single numbers times three vectors a term.
 *
 * <p>Eight sums or more keep both multipliers busy; three by three fit 16 registers with their operands, seven by three fit 32. Four
 * terms are written out, since where a core's other thread is busy too the instructions of a loop's bookkeeping cost as much as the sums.
 * What may end the loop stands between them: without it the compiler loads all four terms' operands first and keeps sums in memory, at a
 * third of the speed. How far rows are apart must be known to it, or it takes half as long again.
 */
final class Tile {

    /** Rows of a tile. */
    static final int ROWS = Lanes.REGISTERS >= 32 ? 7 : 3;
    /** Neighbouring values that a term is multiplied by. */
    static final int WIDTH = 3 * COUNT;
    /**
     * What rows are apart, and the most terms that are summed before the sum joins that of earlier ones: bounds the rounding error. A
     * panel of them and the rows fit the first cache.
     */
    static final int TERMS = Math.max(1, 240 / WIDTH) * WIDTH;

    private Tile() {
    }

    /**
     * {@code c[r][j] += sum_t a[r][t] b[t][j]}, over the terms in their order; {@code c[r][j] = ..} if {@code first}.
     *
     * @param a from {@code aFrom} on {@link #ROWS} rows, {@link #TERMS} apart
     * @param b from {@code bFrom} on {@code terms} rows of {@link #WIDTH}
     * @param terms at most {@link #TERMS}
     * @param c from {@code to} on {@link #ROWS} rows of {@link #WIDTH}, {@code stride} apart
     */
    static void multiply(float[] a, int aFrom, float[] b, int bFrom, int terms, float[] c, int to, int stride, boolean first) {
        if (ROWS == 7) {
            seven(a, aFrom, b, bFrom, terms, c, to, stride, first);
        } else {
            three(a, aFrom, b, bFrom, terms, c, to, stride, first);
        }
    }

    private static void three(float[] a, int aFrom, float[] b, int bFrom, int terms, float[] c, int to, int stride, boolean first) {
        FloatVector c00 = FloatVector.zero(FLOATS);
        FloatVector c01 = c00;
        FloatVector c02 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c12 = c00;
        FloatVector c20 = c00;
        FloatVector c21 = c00;
        FloatVector c22 = c00;
        for (int t = 0; t < terms; t += 4) {
            FloatVector b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH);
            FloatVector b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + COUNT);
            FloatVector b2 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 2 * COUNT);
            FloatVector x = FloatVector.broadcast(FLOATS, a[aFrom + t]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            c02 = x.fma(b2, c02);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + TERMS]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            c12 = x.fma(b2, c12);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 * TERMS]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            c22 = x.fma(b2, c22);
            if (t + 1 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 3 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 4 * COUNT);
            b2 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 5 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            c02 = x.fma(b2, c02);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + TERMS]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            c12 = x.fma(b2, c12);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 2 * TERMS]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            c22 = x.fma(b2, c22);
            if (t + 2 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 6 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 7 * COUNT);
            b2 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 8 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            c02 = x.fma(b2, c02);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + TERMS]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            c12 = x.fma(b2, c12);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 2 * TERMS]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            c22 = x.fma(b2, c22);
            if (t + 3 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 9 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 10 * COUNT);
            b2 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 11 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            c02 = x.fma(b2, c02);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + TERMS]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            c12 = x.fma(b2, c12);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 2 * TERMS]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            c22 = x.fma(b2, c22);
        }
        int row = to;
        if (!first) {
            c00 = FloatVector.fromArray(FLOATS, c, row).add(c00);
            c01 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c01);
            c02 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c02);
        }
        c00.intoArray(c, row);
        c01.intoArray(c, row + COUNT);
        c02.intoArray(c, row + 2 * COUNT);
        row += stride;
        if (!first) {
            c10 = FloatVector.fromArray(FLOATS, c, row).add(c10);
            c11 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c11);
            c12 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c12);
        }
        c10.intoArray(c, row);
        c11.intoArray(c, row + COUNT);
        c12.intoArray(c, row + 2 * COUNT);
        row += stride;
        if (!first) {
            c20 = FloatVector.fromArray(FLOATS, c, row).add(c20);
            c21 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c21);
            c22 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c22);
        }
        c20.intoArray(c, row);
        c21.intoArray(c, row + COUNT);
        c22.intoArray(c, row + 2 * COUNT);
    }

    private static void seven(float[] a, int aFrom, float[] b, int bFrom, int terms, float[] c, int to, int stride, boolean first) {
        FloatVector c00 = FloatVector.zero(FLOATS);
        FloatVector c01 = c00;
        FloatVector c02 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c12 = c00;
        FloatVector c20 = c00;
        FloatVector c21 = c00;
        FloatVector c22 = c00;
        FloatVector c30 = c00;
        FloatVector c31 = c00;
        FloatVector c32 = c00;
        FloatVector c40 = c00;
        FloatVector c41 = c00;
        FloatVector c42 = c00;
        FloatVector c50 = c00;
        FloatVector c51 = c00;
        FloatVector c52 = c00;
        FloatVector c60 = c00;
        FloatVector c61 = c00;
        FloatVector c62 = c00;
        for (int t = 0; t < terms; t += 4) {
            FloatVector b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH);
            FloatVector b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + COUNT);
            FloatVector b2 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 2 * COUNT);
            FloatVector x = FloatVector.broadcast(FLOATS, a[aFrom + t]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            c02 = x.fma(b2, c02);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + TERMS]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            c12 = x.fma(b2, c12);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 * TERMS]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            c22 = x.fma(b2, c22);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 * TERMS]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            c32 = x.fma(b2, c32);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 4 * TERMS]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            c42 = x.fma(b2, c42);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 5 * TERMS]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
            c52 = x.fma(b2, c52);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 6 * TERMS]);
            c60 = x.fma(b0, c60);
            c61 = x.fma(b1, c61);
            c62 = x.fma(b2, c62);
            if (t + 1 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 3 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 4 * COUNT);
            b2 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 5 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            c02 = x.fma(b2, c02);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + TERMS]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            c12 = x.fma(b2, c12);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 2 * TERMS]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            c22 = x.fma(b2, c22);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 3 * TERMS]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            c32 = x.fma(b2, c32);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 4 * TERMS]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            c42 = x.fma(b2, c42);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 5 * TERMS]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
            c52 = x.fma(b2, c52);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 6 * TERMS]);
            c60 = x.fma(b0, c60);
            c61 = x.fma(b1, c61);
            c62 = x.fma(b2, c62);
            if (t + 2 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 6 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 7 * COUNT);
            b2 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 8 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            c02 = x.fma(b2, c02);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + TERMS]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            c12 = x.fma(b2, c12);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 2 * TERMS]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            c22 = x.fma(b2, c22);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 3 * TERMS]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            c32 = x.fma(b2, c32);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 4 * TERMS]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            c42 = x.fma(b2, c42);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 5 * TERMS]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
            c52 = x.fma(b2, c52);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 6 * TERMS]);
            c60 = x.fma(b0, c60);
            c61 = x.fma(b1, c61);
            c62 = x.fma(b2, c62);
            if (t + 3 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 9 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 10 * COUNT);
            b2 = FloatVector.fromArray(FLOATS, b, bFrom + t * WIDTH + 11 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            c02 = x.fma(b2, c02);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + TERMS]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            c12 = x.fma(b2, c12);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 2 * TERMS]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            c22 = x.fma(b2, c22);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 3 * TERMS]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            c32 = x.fma(b2, c32);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 4 * TERMS]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            c42 = x.fma(b2, c42);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 5 * TERMS]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
            c52 = x.fma(b2, c52);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 6 * TERMS]);
            c60 = x.fma(b0, c60);
            c61 = x.fma(b1, c61);
            c62 = x.fma(b2, c62);
        }
        int row = to;
        if (!first) {
            c00 = FloatVector.fromArray(FLOATS, c, row).add(c00);
            c01 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c01);
            c02 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c02);
        }
        c00.intoArray(c, row);
        c01.intoArray(c, row + COUNT);
        c02.intoArray(c, row + 2 * COUNT);
        row += stride;
        if (!first) {
            c10 = FloatVector.fromArray(FLOATS, c, row).add(c10);
            c11 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c11);
            c12 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c12);
        }
        c10.intoArray(c, row);
        c11.intoArray(c, row + COUNT);
        c12.intoArray(c, row + 2 * COUNT);
        row += stride;
        if (!first) {
            c20 = FloatVector.fromArray(FLOATS, c, row).add(c20);
            c21 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c21);
            c22 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c22);
        }
        c20.intoArray(c, row);
        c21.intoArray(c, row + COUNT);
        c22.intoArray(c, row + 2 * COUNT);
        row += stride;
        if (!first) {
            c30 = FloatVector.fromArray(FLOATS, c, row).add(c30);
            c31 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c31);
            c32 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c32);
        }
        c30.intoArray(c, row);
        c31.intoArray(c, row + COUNT);
        c32.intoArray(c, row + 2 * COUNT);
        row += stride;
        if (!first) {
            c40 = FloatVector.fromArray(FLOATS, c, row).add(c40);
            c41 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c41);
            c42 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c42);
        }
        c40.intoArray(c, row);
        c41.intoArray(c, row + COUNT);
        c42.intoArray(c, row + 2 * COUNT);
        row += stride;
        if (!first) {
            c50 = FloatVector.fromArray(FLOATS, c, row).add(c50);
            c51 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c51);
            c52 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c52);
        }
        c50.intoArray(c, row);
        c51.intoArray(c, row + COUNT);
        c52.intoArray(c, row + 2 * COUNT);
        row += stride;
        if (!first) {
            c60 = FloatVector.fromArray(FLOATS, c, row).add(c60);
            c61 = FloatVector.fromArray(FLOATS, c, row + COUNT).add(c61);
            c62 = FloatVector.fromArray(FLOATS, c, row + 2 * COUNT).add(c62);
        }
        c60.intoArray(c, row);
        c61.intoArray(c, row + COUNT);
        c62.intoArray(c, row + 2 * COUNT);
    }
}
