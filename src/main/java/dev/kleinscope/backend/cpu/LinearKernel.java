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
 * lie, a few for each chunk, widened to f32. Each output is the sum over blocks of 240 of a sum over the terms in their order,
 * whichever factor is packed, however many rows there are and whatever the number of threads: equal inputs give equal bits.
 */
final class LinearKernel {

    /** Terms read of a row at once: long enough a run of memory for it to be delivered fast. */
    private static final int DEPTH = 2 * Tile.TERMS;
    /** Rows of a chunk, which all meet a panel while it is in the first cache; two blocks of them fit the second. */
    private static final int CHUNK_ROWS = 72;
    /** Most rows packed at once; bounds the memory and the sums of a chunk. */
    private static final int PACKED_ROWS = 1536;

    private static final int ROW_SLOT = 0;
    private static final int READ_SLOT = 1;
    private static final int SUM_SLOT = 2;

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
        long share = Math.ceilDiv(count, 4L * workers.threads());
        int tile = panels.tileRows();
        int chunkRows = (int) Math.min(CHUNK_ROWS / tile, Math.ceilDiv(share, tile)) * tile;
        workers.run(Math.toIntExact(Math.ceilDiv(count, chunkRows)), (chunk, scratch) -> {
            long row = (long) chunk * chunkRows;
            int inChunk = (int) Math.min(chunkRows, count - row);
            int stride = panels.count() * panels.width();
            sink.write(sums(rows, row, inChunk, panels, stride, scratch), stride, row, inChunk, scratch);
        });
    }

    private static float[] sums(Rows rows, long first, int count, Panels panels, int stride, Scratch scratch) {
        int tile = panels.tileRows();
        int tiled = Math.ceilDiv(count, tile) * tile;
        float[] read = scratch.floats(READ_SLOT, CHUNK_ROWS * DEPTH);
        float[] sums = scratch.floats(SUM_SLOT, tiled * stride);
        if (panels.terms() == 0) {
            Arrays.fill(sums, 0, tiled * stride, 0f);
        }
        for (int from = 0; from < panels.terms(); from += DEPTH) {
            int depth = Math.min(DEPTH, panels.terms() - from);
            int firstBlock = from / Tile.TERMS;
            int blocks = Math.ceilDiv(depth, Tile.TERMS);
            for (int i = 0; i < count; i++) {
                for (int block = 0; block < blocks; block++) {
                    rows.read(first + i, from + block * Tile.TERMS, panels.terms(firstBlock + block), read,
                            (block * CHUNK_ROWS + i) * Tile.TERMS);
                }
            }
            for (int block = 0; block < blocks; block++) {
                for (int panel = 0; panel < panels.count(); panel++) {
                    int at = panels.at(firstBlock + block, panel);
                    int terms = panels.terms(firstBlock + block);
                    boolean fresh = firstBlock + block == 0;
                    for (int i = 0; i < tiled; i += tile) {
                        int rowAt = (block * CHUNK_ROWS + i) * Tile.TERMS;
                        int to = i * stride + panel * panels.width();
                        if (panels.width() == Tile.WIDTH) {
                            Tile.multiply(read, rowAt, panels.values(), at, terms, sums, to, stride, fresh);
                        } else {
                            NarrowTile.multiply(read, rowAt, panels.values(), at, terms, sums, to, stride, fresh);
                        }
                    }
                }
            }
        }
        return sums;
    }

    /** Rows of weights times packed inputs: a chunk holds some columns of the output. */
    private static void writeColumns(float[] sums, int stride, float[] bias, Tensor out, long firstRow, int rows, long column, int width,
            Scratch scratch) {
        float[] values = scratch.floats(ROW_SLOT, width);
        MemorySegment target = HostRows.segment(out);
        for (int i = 0; i < width && bias != null; i++) {
            add(bias[(int) column + i], sums, i * stride, rows);
        }
        for (int row = 0; row < rows; row++) {
            for (int i = 0; i < width; i++) {
                values[i] = sums[i * stride + row];
            }
            MemorySegment.copy(values, 0, target, Lanes.FLOAT, (out.rowOffset(firstRow + row) + column) * Float.BYTES, width);
        }
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
