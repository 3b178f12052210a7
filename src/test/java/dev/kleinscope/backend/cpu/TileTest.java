package dev.kleinscope.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.api.Test;

/** Every kind of tile against one number at a time, also those that this machine's vectors do not call for. */
final class TileTest {

    private static final int[] TERMS = {1, 2, 3, 4, 5, 7, 63, 254, 255, 256};
    private static final int STRIDE = Tile.WIDTH + 3;
    private static final int TWELVE = 12;
    /** Where each array begins to be used. */
    private static final int FROM = 5;

    private interface Multiply {
        void run(float[] b, int terms, float[] c, boolean first);
    }

    private final Random random = new Random(1);

    private float[] normal(int size) {
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** @param a by row, {@link Tile#TERMS} apart */
    private void check(String kind, int rows, float[] a, Multiply tile) {
        float[] b = normal(FROM + Tile.TERMS * Tile.WIDTH);
        for (int terms : TERMS) {
            for (boolean first : new boolean[] {true, false}) {
                float[] c = normal(FROM + rows * STRIDE);
                float[] before = c.clone();
                tile.run(b, terms, c, first);
                for (int i = 0; i < c.length; i++) {
                    int row = (i - FROM) / STRIDE;
                    int column = (i - FROM) % STRIDE;
                    float expected = before[i];
                    if (i >= FROM && column < Tile.WIDTH) {
                        float sum = 0;
                        for (int t = 0; t < terms; t++) {
                            sum = Math.fma(a[row * Tile.TERMS + t], b[FROM + t * Tile.WIDTH + column], sum);
                        }
                        expected = first ? sum : before[i] + sum;
                    }
                    assertEquals(expected, c[i], kind + ", " + terms + " terms, first " + first + ", row " + row + ", column " + column);
                }
            }
        }
    }

    @Test
    void aTileHasTheBitsOfOneNumberAtATime() {
        float[] a = normal(Tile.ROWS * Tile.TERMS);
        check("tile", Tile.ROWS, a, (b, terms, c, first) -> Tile.multiply(a, 0, b, FROM, terms, c, FROM, STRIDE, first));
    }

    @Test
    void interleavedRowsHaveTheBitsOfRowsApart() {
        float[] a = normal(Tile.ROWS * Tile.TERMS);
        float[] laid = new float[FROM + InterleavedTile.SIZE];
        for (int row = 0; row < Tile.ROWS; row++) {
            InterleavedTile.put(a, row * Tile.TERMS, Tile.TERMS, laid, FROM, row);
        }
        check("interleaved", Tile.ROWS, a,
                (b, terms, c, first) -> InterleavedTile.multiply(laid, FROM, b, FROM, terms, c, FROM, STRIDE, first));
    }

    @Test
    void twelveInterleavedRowsHaveTheBitsOfRowsApart() {
        float[] a = normal(TWELVE * Tile.TERMS);
        float[] laid = new float[FROM + 16 * Tile.TERMS];
        for (int i = 0; i < a.length; i++) {
            int t = i % Tile.TERMS;
            laid[FROM + t / 2 * 32 + i / Tile.TERMS * 2 + t % 2] = a[i];
        }
        check("twelve", TWELVE, a,
                (b, terms, c, first) -> InterleavedTwelve.multiply(laid, FROM, b, FROM, terms, c, FROM, STRIDE, first));
    }
}
