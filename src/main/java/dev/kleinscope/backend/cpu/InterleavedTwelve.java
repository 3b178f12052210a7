package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/** {@link InterleavedTile}s of twelve rows, for 32 registers. The first compiler refuses the loop with four terms, and then the second never sees it. */
final class InterleavedTwelve {

    /** As in {@link InterleavedTile}, for twelve rows. */
    private static final int APART = 16;
    /** As in {@link Tile}. */
    private static final int NEVER = 0x70000000;

    private InterleavedTwelve() {
    }

    static void multiply(float[] a, int aFrom, float[] b, int bFrom, int terms, float[] c, int to, int stride, boolean first) {
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
        FloatVector c60 = c00;
        FloatVector c61 = c00;
        FloatVector c70 = c00;
        FloatVector c71 = c00;
        FloatVector c80 = c00;
        FloatVector c81 = c00;
        FloatVector c90 = c00;
        FloatVector c91 = c00;
        FloatVector c100 = c00;
        FloatVector c101 = c00;
        FloatVector c110 = c00;
        FloatVector c111 = c00;
        for (int t = 0; t < terms; t += 2) {
            FloatVector b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH);
            FloatVector b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + COUNT);
            FloatVector x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 2]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            if (t == NEVER) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 4]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 6]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            if (t == NEVER + 1) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 8]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 10]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
            if (t == NEVER + 2) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 12]);
            c60 = x.fma(b0, c60);
            c61 = x.fma(b1, c61);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 14]);
            c70 = x.fma(b0, c70);
            c71 = x.fma(b1, c71);
            if (t == NEVER + 3) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 16]);
            c80 = x.fma(b0, c80);
            c81 = x.fma(b1, c81);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 18]);
            c90 = x.fma(b0, c90);
            c91 = x.fma(b1, c91);
            if (t == NEVER + 4) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 20]);
            c100 = x.fma(b0, c100);
            c101 = x.fma(b1, c101);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 22]);
            c110 = x.fma(b0, c110);
            c111 = x.fma(b1, c111);
            if (t + 1 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + 2 * COUNT);
            b1 = FloatVector.fromArray(FLOATS, b, bFrom + t * Tile.WIDTH + 3 * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 1]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 3]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            if (t == NEVER + 5) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 5]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 7]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            if (t == NEVER + 6) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 9]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 11]);
            c50 = x.fma(b0, c50);
            c51 = x.fma(b1, c51);
            if (t == NEVER + 7) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 13]);
            c60 = x.fma(b0, c60);
            c61 = x.fma(b1, c61);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 15]);
            c70 = x.fma(b0, c70);
            c71 = x.fma(b1, c71);
            if (t == NEVER + 8) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 17]);
            c80 = x.fma(b0, c80);
            c81 = x.fma(b1, c81);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 19]);
            c90 = x.fma(b0, c90);
            c91 = x.fma(b1, c91);
            if (t == NEVER + 9) {
                break;
            }
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 21]);
            c100 = x.fma(b0, c100);
            c101 = x.fma(b1, c101);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t * APART + 23]);
            c110 = x.fma(b0, c110);
            c111 = x.fma(b1, c111);
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
            c60 = FloatVector.fromArray(FLOATS, c, to + 6 * stride).add(c60);
            c61 = FloatVector.fromArray(FLOATS, c, to + 6 * stride + COUNT).add(c61);
            c70 = FloatVector.fromArray(FLOATS, c, to + 7 * stride).add(c70);
            c71 = FloatVector.fromArray(FLOATS, c, to + 7 * stride + COUNT).add(c71);
            c80 = FloatVector.fromArray(FLOATS, c, to + 8 * stride).add(c80);
            c81 = FloatVector.fromArray(FLOATS, c, to + 8 * stride + COUNT).add(c81);
            c90 = FloatVector.fromArray(FLOATS, c, to + 9 * stride).add(c90);
            c91 = FloatVector.fromArray(FLOATS, c, to + 9 * stride + COUNT).add(c91);
            c100 = FloatVector.fromArray(FLOATS, c, to + 10 * stride).add(c100);
            c101 = FloatVector.fromArray(FLOATS, c, to + 10 * stride + COUNT).add(c101);
            c110 = FloatVector.fromArray(FLOATS, c, to + 11 * stride).add(c110);
            c111 = FloatVector.fromArray(FLOATS, c, to + 11 * stride + COUNT).add(c111);
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
        c60.intoArray(c, to + 6 * stride);
        c61.intoArray(c, to + 6 * stride + COUNT);
        c70.intoArray(c, to + 7 * stride);
        c71.intoArray(c, to + 7 * stride + COUNT);
        c80.intoArray(c, to + 8 * stride);
        c81.intoArray(c, to + 8 * stride + COUNT);
        c90.intoArray(c, to + 9 * stride);
        c91.intoArray(c, to + 9 * stride + COUNT);
        c100.intoArray(c, to + 10 * stride);
        c101.intoArray(c, to + 10 * stride + COUNT);
        c110.intoArray(c, to + 11 * stride);
        c111.intoArray(c, to + 11 * stride + COUNT);
    }
}
