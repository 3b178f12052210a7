package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/** {@link Tile}s one vector wide, for a factor of few rows: the same bits. */
final class NarrowTile {

    /** Rows of a tile: with their operands they fit 16 registers. */
    static final int ROWS = 7;

    private NarrowTile() {
    }

    /** As {@link Tile#multiply}, with {@link #ROWS} rows of {@code a} and rows of {@code b} of a single vector. */
    static void multiply(float[] a, int aFrom, float[] b, int bFrom, int terms, float[] c, int to, int stride, boolean first) {
        FloatVector c00 = FloatVector.zero(FLOATS);
        FloatVector c10 = c00;
        FloatVector c20 = c00;
        FloatVector c30 = c00;
        FloatVector c40 = c00;
        FloatVector c50 = c00;
        FloatVector c60 = c00;
        for (int t = 0; t < terms; t += 4) {
            FloatVector b0 = FloatVector.fromArray(FLOATS, b, bFrom + t * COUNT);
            FloatVector x = FloatVector.broadcast(FLOATS, a[aFrom + t]);
            c00 = x.fma(b0, c00);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + Tile.TERMS]);
            c10 = x.fma(b0, c10);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 * Tile.TERMS]);
            c20 = x.fma(b0, c20);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 * Tile.TERMS]);
            c30 = x.fma(b0, c30);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 4 * Tile.TERMS]);
            c40 = x.fma(b0, c40);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 5 * Tile.TERMS]);
            c50 = x.fma(b0, c50);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 6 * Tile.TERMS]);
            c60 = x.fma(b0, c60);
            if (t + 1 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + (t + 1) * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1]);
            c00 = x.fma(b0, c00);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + Tile.TERMS]);
            c10 = x.fma(b0, c10);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 2 * Tile.TERMS]);
            c20 = x.fma(b0, c20);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 3 * Tile.TERMS]);
            c30 = x.fma(b0, c30);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 4 * Tile.TERMS]);
            c40 = x.fma(b0, c40);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 5 * Tile.TERMS]);
            c50 = x.fma(b0, c50);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 1 + 6 * Tile.TERMS]);
            c60 = x.fma(b0, c60);
            if (t + 2 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + (t + 2) * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2]);
            c00 = x.fma(b0, c00);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + Tile.TERMS]);
            c10 = x.fma(b0, c10);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 2 * Tile.TERMS]);
            c20 = x.fma(b0, c20);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 3 * Tile.TERMS]);
            c30 = x.fma(b0, c30);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 4 * Tile.TERMS]);
            c40 = x.fma(b0, c40);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 5 * Tile.TERMS]);
            c50 = x.fma(b0, c50);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 2 + 6 * Tile.TERMS]);
            c60 = x.fma(b0, c60);
            if (t + 3 == terms) {
                break;
            }
            b0 = FloatVector.fromArray(FLOATS, b, bFrom + (t + 3) * COUNT);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3]);
            c00 = x.fma(b0, c00);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + Tile.TERMS]);
            c10 = x.fma(b0, c10);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 2 * Tile.TERMS]);
            c20 = x.fma(b0, c20);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 3 * Tile.TERMS]);
            c30 = x.fma(b0, c30);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 4 * Tile.TERMS]);
            c40 = x.fma(b0, c40);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 5 * Tile.TERMS]);
            c50 = x.fma(b0, c50);
            x = FloatVector.broadcast(FLOATS, a[aFrom + t + 3 + 6 * Tile.TERMS]);
            c60 = x.fma(b0, c60);
        }
        int row = to;
        if (!first) {
            c00 = FloatVector.fromArray(FLOATS, c, row).add(c00);
        }
        c00.intoArray(c, row);
        row += stride;
        if (!first) {
            c10 = FloatVector.fromArray(FLOATS, c, row).add(c10);
        }
        c10.intoArray(c, row);
        row += stride;
        if (!first) {
            c20 = FloatVector.fromArray(FLOATS, c, row).add(c20);
        }
        c20.intoArray(c, row);
        row += stride;
        if (!first) {
            c30 = FloatVector.fromArray(FLOATS, c, row).add(c30);
        }
        c30.intoArray(c, row);
        row += stride;
        if (!first) {
            c40 = FloatVector.fromArray(FLOATS, c, row).add(c40);
        }
        c40.intoArray(c, row);
        row += stride;
        if (!first) {
            c50 = FloatVector.fromArray(FLOATS, c, row).add(c50);
        }
        c50.intoArray(c, row);
        row += stride;
        if (!first) {
            c60 = FloatVector.fromArray(FLOATS, c, row).add(c60);
        }
        c60.intoArray(c, row);
    }
}
