package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * {@code Y[M, N] = X[M, K] W[N, K]^T + bias} in f32, weights widened on the way.
 *
 * <p>The factor whose rows are fewer bytes to lay side by side is packed once into {@link Panels}; rows of the other are read as they
 * lie, a few for each chunk, widened to f32. Each output is the sum over blocks of 256 of a sum over the terms in their order,
 * whichever factor is packed, however many rows there are and whatever the number of threads: equal inputs give equal bits.
 */
final class LinearKernel {

    /** Most rows of a chunk, which all meet a panel while it is in the first cache. */
    private static final int CHUNK_ROWS = 96;
    /** Of few packed rows, a chunk takes whole tiles of about as many, and more of each row at once. */
    private static final int FEW_ROWS = 16;
    /** Numbers of rows held widened, which fit the second cache: for each row a run of memory long enough to be delivered fast. */
    private static final int READ = 2 * Tile.TERMS * CHUNK_ROWS;
    /** Of as many packed panels or more, rows are laid for {@link InterleavedTile}. */
    private static final int MANY_PANELS = 6;
    /** Most rows of a chunk that are laid so, and most sums: of more, they would come from too far. */
    private static final int INTERLEAVED_ROWS = 192;
    private static final int INTERLEAVED_SUMS = INTERLEAVED_ROWS * 1024;
    private static final int INTERLEAVED_BLOCKS = 2;
    private static final int GROUP_APART = INTERLEAVED_BLOCKS * Tile.TERMS;
    /** Most rows packed at once; bounds the memory and the sums of a chunk. */
    private static final int PACKED_ROWS = 1536;

    /** Rows of the output that are written while their sums are in the first cache. */
    private static final int TURNED = 8;

    private static final int ROW_SLOT = 0;
    private static final int READ_SLOT = 1;
    private static final int SUM_SLOT = 2;
    private static final int GROUP_SLOT = 3;

    private LinearKernel() {
    }

    /** Takes the finished sums of a chunk: {@code sums[i * stride + j]} belongs to row i of it and packed row j. */
    private interface Sink {
        void write(float[] sums, int stride, long row, int rows, Scratch scratch);
    }

    static void run(Workers workers, Tensor x, Linear layer, Tensor out) {
        Rows rows = Rows.of(x);
        Rows weights = Rows.of(layer.weight());
        int in = Math.toIntExact(layer.in());
        if (rows.count() == 0 || weights.count() == 0) {
            return;
        }
        float[] bias = layer.bias() == null ? null : HostRows.read(layer.bias(), 0);
        long parts = Math.ceilDiv(rows.count(), PACKED_ROWS);
        int part = Math.toIntExact(Math.ceilDiv(Math.ceilDiv(rows.count(), parts), Tile.WIDTH) * Tile.WIDTH);
        for (long first = 0; first < rows.count(); first += part) {
            Panels panels = Panels.pack(workers, rows, first, (int) Math.min(part, rows.count() - first), in);
            long start = first;
            multiply(workers, weights, panels, (sums, stride, row, count, scratch) ->
                    writeColumns(sums, stride, bias, out, start, panels.rows(), row, count, scratch));
        }
    }

    /** The same for more rows than can be packed, of a layer whose weights can. */
    static void runOnPackedWeights(Workers workers, Rows x, Linear layer, Tensor out) {
        Rows weights = Rows.of(layer.weight());
        if (x.count() == 0 || weights.count() == 0) {
            return;
        }
        float[] bias = layer.bias() == null ? null : HostRows.read(layer.bias(), 0);
        Panels panels = Panels.pack(workers, weights, 0, Math.toIntExact(weights.count()), Math.toIntExact(layer.in()));
        multiply(workers, x, panels, (sums, stride, row, rows, _) -> writeRows(sums, stride, bias, out, row, rows, panels.rows()));
    }

    private static void multiply(Workers workers, Rows rows, Panels panels, Sink sink) {
        long count = rows.count();
        int stride = panels.count() * panels.width();
        long share = Math.ceilDiv(count, 4L * workers.threads());
        int tile = panels.tileRows();
        int most = interleaved(panels) ? Math.min(INTERLEAVED_ROWS, INTERLEAVED_SUMS / stride) : stride <= FEW_ROWS ? FEW_ROWS : CHUNK_ROWS;
        int chunkRows = Math.toIntExact(Math.clamp(Math.ceilDiv(share, tile), 1, Math.max(1, most / tile))) * tile;
        workers.run(Math.toIntExact(Math.ceilDiv(count, chunkRows)), (chunk, scratch) -> {
            long row = (long) chunk * chunkRows;
            int inChunk = (int) Math.min(chunkRows, count - row);
            sink.write(sums(rows, row, inChunk, panels, stride, scratch), stride, row, inChunk, scratch);
        });
    }

    private static float[] sums(Rows rows, long first, int count, Panels panels, int stride, Scratch scratch) {
        int tile = panels.tileRows();
        int tiles = Math.ceilDiv(count, tile);
        float[] sums = scratch.floats(SUM_SLOT, tiles * tile * stride);
        if (panels.terms() == 0) {
            Arrays.fill(sums, 0, tiles * tile * stride, 0f);
        }
        boolean interleaved = interleaved(panels);
        int tileFloats = interleaved ? InterleavedTile.SIZE : tile * Tile.TERMS;
        int atOnce = interleaved ? INTERLEAVED_BLOCKS : READ / (tiles * tileFloats);
        float[] read = scratch.floats(READ_SLOT, atOnce * tiles * tileFloats);
        for (int from = 0; from < panels.blocks(); from += atOnce) {
            int blocks = Math.min(atOnce, panels.blocks() - from);
            if (interleaved) {
                interleave(rows, first, count, panels, from, blocks, read, scratch);
            } else {
                for (int i = 0; i < count; i++) {
                    for (int block = 0; block < blocks; block++) {
                        rows.read(first + i, (from + block) * Tile.TERMS, panels.terms(from + block), read,
                                (block * tiles * tile + i) * Tile.TERMS);
                    }
                }
            }
            for (int block = 0; block < blocks; block++) {
                for (int panel = 0; panel < panels.count(); panel++) {
                    multiply(read, block * tiles * tileFloats, tiles, panels, from + block, panel, sums, stride);
                }
            }
        }
        return sums;
    }

    private static boolean interleaved(Panels panels) {
        return panels.width() == Tile.WIDTH && panels.count() >= MANY_PANELS;
    }

    /** Reads blocks of rows as {@link InterleavedTile} takes them: [block][tile]. */
    private static void interleave(Rows rows, long first, int count, Panels panels, int from, int blocks, float[] to, Scratch scratch) {
        int tiles = Math.ceilDiv(count, Tile.ROWS);
        int terms = Math.min(blocks * Tile.TERMS, panels.terms() - from * Tile.TERMS);
        float[] group = scratch.floats(GROUP_SLOT, Tile.ROWS * GROUP_APART);
        for (int tile = 0; tile < tiles; tile++) {
            int inTile = Math.min(Tile.ROWS, count - tile * Tile.ROWS);
            for (int row = 0; row < inTile; row++) {
                rows.read(first + tile * Tile.ROWS + row, from * Tile.TERMS, terms, group, row * GROUP_APART);
            }
            for (int block = 0; block < blocks; block++) {
                int at = (block * tiles + tile) * InterleavedTile.SIZE;
                for (int row = 0; row < inTile; row++) {
                    InterleavedTile.put(group, row * GROUP_APART + block * Tile.TERMS, panels.terms(from + block), to, at, row);
                }
            }
        }
    }

    /** Adds a block of a panel, for all tiles of a chunk. */
    private static void multiply(float[] read, int from, int tiles, Panels panels, int block, int panel, float[] sums, int stride) {
        int at = panels.at(block, panel);
        int terms = panels.terms(block);
        boolean fresh = block == 0;
        int rows = panels.tileRows();
        for (int tile = 0; tile < tiles; tile++) {
            int rowAt = from + tile * rows * Tile.TERMS;
            int to = tile * rows * stride + panel * panels.width();
            if (interleaved(panels)) {
                InterleavedTile.multiply(read, from + tile * InterleavedTile.SIZE, panels.values(), at, terms, sums, to, stride, fresh);
            } else if (panels.width() == Tile.WIDTH) {
                Tile.multiply(read, rowAt, panels.values(), at, terms, sums, to, stride, fresh);
            } else if (panels.width() == 1) {
                SingleRow.multiply(read, rowAt, panels.values(), at, terms, sums, to, fresh);
            } else {
                NarrowTile.multiply(read, rowAt, panels.values(), at, terms, sums, to, stride, fresh);
            }
        }
    }

    /** Rows of weights times packed inputs: a chunk holds some columns of the output. */
    private static void writeColumns(float[] sums, int stride, float[] bias, Tensor out, long firstRow, int rows, long column, int width,
            Scratch scratch) {
        float[] values = scratch.floats(ROW_SLOT, TURNED * width);
        MemorySegment target = HostRows.segment(out);
        for (int i = 0; i < width && bias != null; i++) {
            add(bias[(int) column + i], sums, i * stride, rows);
        }
        for (int row = 0; row < rows; row += TURNED) {
            int turned = Math.min(TURNED, rows - row);
            for (int i = 0; i < width; i++) {
                if (turned == TURNED) {
                    turnEight(sums, i * stride + row, values, i, width);
                } else {
                    for (int j = 0; j < turned; j++) {
                        values[j * width + i] = sums[i * stride + row + j];
                    }
                }
            }
            for (int j = 0; j < turned; j++) {
                long to = out.rowOffset(firstRow + row + j) + column;
                MemorySegment.copy(values, j * width, target, Lanes.FLOAT, to * Float.BYTES, width);
            }
        }
    }

    private static void turnEight(float[] sums, int from, float[] values, int to, int width) {
        values[to] = sums[from];
        values[to + width] = sums[from + 1];
        values[to + 2 * width] = sums[from + 2];
        values[to + 3 * width] = sums[from + 3];
        values[to + 4 * width] = sums[from + 4];
        values[to + 5 * width] = sums[from + 5];
        values[to + 6 * width] = sums[from + 6];
        values[to + 7 * width] = sums[from + 7];
    }

    private static void add(float value, float[] sums, int from, int count) {
        for (int i = from; i < from + count; i++) {
            sums[i] += value;
        }
    }

    private static void writeRows(float[] sums, int stride, float[] bias, Tensor out, long row, int rows, int width) {
        MemorySegment target = HostRows.segment(out);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < width && bias != null; j++) {
                sums[i * stride + j] += bias[j];
            }
            MemorySegment.copy(sums, i * stride, target, Lanes.FLOAT, out.rowOffset(row + i) * Float.BYTES, width);
        }
    }
}
