package dev.kleinscope.backend.cpu;

/**
 * One factor of a product as {@link Tile} takes it: rows of a matrix side by side, {@code width} of them a panel, as
 * [block of terms][panel][term][row]. What fills up the last panel is undefined.
 *
 * @param values may be longer than needed
 * @param origin where the panels begin
 * @param width {@link Tile#WIDTH}, a single vector, or 1 for a single row
 * @param rows of the matrix
 * @param terms of each row
 */
record Panels(float[] values, int origin, int width, int rows, int terms) {

    /** Rows of a panel that are read before they are laid side by side. */
    private static final int GATHERED = 8;
    private static final int ROW_SLOT = 0;

    /** Packs rows {@code first} to {@code first + rows} on all threads, into memory that lasts until the next operation packs its own. */
    static Panels pack(Workers workers, Rows from, long first, int rows, int terms) {
        int width = rows == 1 ? 1 : rows <= Lanes.COUNT ? Lanes.COUNT : Tile.WIDTH;
        Panels panels = new Panels(workers.shared(floats(width, rows, terms)), 0, width, rows, terms);
        int count = panels.count();
        workers.run(count * panels.blocks(), (chunk, scratch) -> panels.pack(from, first, chunk / count, chunk % count, scratch));
        return panels;
    }

    static int floats(int width, int rows, int terms) {
        return Math.toIntExact((long) Math.ceilDiv(rows, width) * width * terms);
    }

    int count() {
        return Math.ceilDiv(rows, width);
    }

    /** Rows that a tile takes of the other factor. */
    int tileRows() {
        return width == Tile.WIDTH ? Tile.ROWS : width == 1 ? SingleRow.ROWS : NarrowTile.ROWS;
    }

    int blocks() {
        return Math.ceilDiv(terms, Tile.TERMS);
    }

    /** Terms of a block. */
    int terms(int block) {
        return Math.min(Tile.TERMS, terms - block * Tile.TERMS);
    }

    /** Where a panel's terms of a block begin. */
    int at(int block, int panel) {
        return origin + (block * Tile.TERMS * count() + panel * terms(block)) * width;
    }

    /** Packs one panel's terms of a block. @param first row of {@code from} that is the matrix's first */
    void pack(Rows from, long first, int block, int panel, Scratch scratch) {
        int to = at(block, panel);
        int length = terms(block);
        float[] read = scratch.floats(ROW_SLOT, GATHERED * Tile.TERMS);
        int inPanel = Math.min(width, rows - panel * width);
        for (int row = 0; row < inPanel; row += GATHERED) {
            int gathered = Math.min(GATHERED, inPanel - row);
            for (int i = 0; i < gathered; i++) {
                from.read(first + panel * width + row + i, block * Tile.TERMS, length, read, i * Tile.TERMS);
            }
            if (gathered == GATHERED) {
                layEight(read, length, values, to + row, width);
            } else {
                for (int i = 0; i < gathered; i++) {
                    lay(read, i * Tile.TERMS, length, values, to + row + i, width);
                }
            }
        }
    }

    /** Packs a block of a matrix whose columns are given: row i of {@code from} holds the terms i of all rows. */
    void packColumns(Rows from, long first, int block, Scratch scratch) {
        float[] read = scratch.floats(ROW_SLOT, Math.max(rows, GATHERED * Tile.TERMS));
        for (int term = 0; term < terms(block); term++) {
            from.read(first + block * Tile.TERMS + term, 0, rows, read, 0);
            for (int panel = 0; panel < count(); panel++) {
                int row = panel * width;
                System.arraycopy(read, row, values, at(block, panel) + term * width, Math.min(width, rows - row));
            }
        }
    }

    private static void lay(float[] read, int from, int length, float[] values, int to, int width) {
        for (int i = 0; i < length; i++) {
            values[to + i * width] = read[from + i];
        }
    }

    /** Writes to one place at a time, which takes half as long as a row after the other. */
    private static void layEight(float[] read, int length, float[] values, int to, int width) {
        for (int i = 0; i < length; i++) {
            int at = to + i * width;
            values[at] = read[i];
            values[at + 1] = read[i + Tile.TERMS];
            values[at + 2] = read[i + 2 * Tile.TERMS];
            values[at + 3] = read[i + 3 * Tile.TERMS];
            values[at + 4] = read[i + 4 * Tile.TERMS];
            values[at + 5] = read[i + 5 * Tile.TERMS];
            values[at + 6] = read[i + 6 * Tile.TERMS];
            values[at + 7] = read[i + 7 * Tile.TERMS];
        }
    }
}
