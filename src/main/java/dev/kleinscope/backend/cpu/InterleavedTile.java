package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * {@link Tile}s whose rows lie together, a few terms of each after as many of another: the same bits and faster, since single numbers are
 * then read one after the other, by shorter instructions. Worth laying rows so where they meet several panels.
 */
final class InterleavedTile {

    /** Floats for a term of all rows, some unused: a power of two, or every index would be checked. */
    static final int APART = Tile.ROWS == 12 ? 16 : 8;
    /** Floats for all terms of a tile's rows. */
    static final int SIZE = Tile.TERMS * APART;
    /** Terms of a row that lie together: those of one turn of the loop. */
    private static final VectorSpecies<Float> TOGETHER = Tile.ROWS == 12 ? FloatVector.SPECIES_64 : FloatVector.SPECIES_128;
    /** As in {@link Tile}. */
    private static final int NEVER = 0x70000000;

    private InterleavedTile() {
    }

    /**
     * Puts a row where {@link #multiply} expects it.
     *
     * @param values on from {@code from}; a few after the last are read too
     * @param row of the tile, whose rows begin at {@code aFrom}
     */
    static void put(float[] values, int from, int terms, float[] a, int aFrom, int row) {
        for (int t = 0; t < terms; t += TOGETHER.length()) {
            FloatVector.fromArray(TOGETHER, values, from + t).intoArray(a, aFrom + t * APART + row * TOGETHER.length());
        }
    }

    /** As {@link Tile#multiply}, of rows from {@code aFrom} on that {@link #put} laid. */
    static void multiply(float[] a, int aFrom, float[] b, int bFrom, int terms, float[] c, int to, int stride, boolean first) {
        if (Tile.ROWS == 12) {
            InterleavedTwelve.multiply(a, aFrom, b, bFrom, terms, c, to, stride, first);
        } else {
            six(a, aFrom, b, bFrom, terms, c, to, stride, first);
        }
    }

    private static void six(float[] a, int aFrom, float[] b, int bFrom, int terms, float[] c, int to, int stride, boolean first) {
        FloatVector c00 = FloatVector.zero(FLOATS);
        FloatVector c01 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c20 = c00;
        FloatVector c21 = c00;
        FloatVector c30 = c00;
        FloatVector c31 = c00;
        FloatVector c40 = c00;
        FloatVector c41 = c00;
        FloatVector c50 = c00;
        FloatVector c51 = c00;
        for (int t = 0; t < terms; t += 4) {
            FloatVector b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH);
            FloatVector b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + COUNT);
            FloatVector x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 4]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            if (t == NEVER) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 8]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 12]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            if (t == NEVER + 1) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 16]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 20]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
            if (t + 1 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + 2 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + 3 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 1]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 5]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            if (t == NEVER + 2) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 9]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 13]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            if (t == NEVER + 3) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 17]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 21]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
            if (t + 2 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + 4 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + 5 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 2]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 6]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            if (t == NEVER + 4) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 10]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 14]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            if (t == NEVER + 5) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 18]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 22]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
            if (t + 3 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + 6 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + 7 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 3]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 7]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            if (t == NEVER + 6) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 11]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 15]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            if (t == NEVER + 7) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 19]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 23]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
        }
        if (!first) {
            c00 = FloatVector.fromArray(FLOATS, c, to).add(c00);
            c01 = FloatVector.fromArray(FLOATS, c, to + COUNT).add(c01);
            c10 = FloatVector.fromArray(FLOATS, c, to + stride).add(c10);
            c11 = FloatVector.fromArray(FLOATS, c, to + stride + COUNT).add(c11);
            c20 = FloatVector.fromArray(FLOATS, c, to + 2 * stride).add(c20);
            c21 = FloatVector.fromArray(FLOATS, c, to + 2 * stride + COUNT).add(c21);
            c30 = FloatVector.fromArray(FLOATS, c, to + 3 * stride).add(c30);
            c31 = FloatVector.fromArray(FLOATS, c, to + 3 * stride + COUNT).add(c31);
            c40 = FloatVector.fromArray(FLOATS, c, to + 4 * stride).add(c40);
            c41 = FloatVector.fromArray(FLOATS, c, to + 4 * stride + COUNT).add(c41);
            c50 = FloatVector.fromArray(FLOATS, c, to + 5 * stride).add(c50);
            c51 = FloatVector.fromArray(FLOATS, c, to + 5 * stride + COUNT).add(c51);
        }
        c00.intoArray(c, to);
        c01.intoArray(c, to + COUNT);
        c10.intoArray(c, to + stride);
        c11.intoArray(c, to + stride + COUNT);
        c20.intoArray(c, to + 2 * stride);
        c21.intoArray(c, to + 2 * stride + COUNT);
        c30.intoArray(c, to + 3 * stride);
        c31.intoArray(c, to + 3 * stride + COUNT);
        c40.intoArray(c, to + 4 * stride);
        c41.intoArray(c, to + 4 * stride + COUNT);
        c50.intoArray(c, to + 5 * stride);
        c51.intoArray(c, to + 5 * stride + COUNT);
    }
}
