package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;

/**
 * {@code Y[M, N] = X[M, K] W[N, K]^T + bias}: f32 sums over blocks of 512, weights widened to f32 on the way.
 *
 * <p>A chunk is a block of rows of X times a block of rows of W. Both are packed, 512 of K at a time, into tiles of three
 * rows whose vectors alternate, padded with zeros. Three by three accumulators and six operands are what 16 registers
 * hold; the compiler spills from 4 x 3 on, at half the speed. Each output is the sum over lanes of a sum over blocks of a
 * sum over vectors, whatever the number of rows or threads: equal inputs give equal bits.
 */
final class LinearKernel {

    private static final int TILE = 3;
    /** Terms added up before the sum joins that of earlier blocks: bounds the rounding error. */
    private static final int BLOCK = 512 / COUNT * COUNT;
    private static final int BLOCK_FLOATS = TILE * BLOCK;
    /** Sums of a tile, each as many as there are lanes. */
    private static final int TILE_SUMS = TILE * TILE * COUNT;
    private static final int MAX_ROWS = 192;
    private static final int MAX_OUTPUTS = MAX_ROWS * 192;
    /** Floats of W packed at once: with a tile of X they fit the second cache. */
    private static final int PANEL_FLOATS = 24 * BLOCK;

    private static final int X_SLOT = 0;
    private static final int W_SLOT = 1;
    private static final int SUM_SLOT = 2;
    private static final int ROW_SLOT = 3;

    private LinearKernel() {
    }

    /** The rows of X, wherever they come from. */
    interface Rows {

        long count();

        /** Elements {@code from} to {@code from + count} of a row, into the start of {@code values}. */
        void read(long row, int from, int count, float[] values);
    }

    /** The rows of a tensor. */
    private record TensorRows(Tensor tensor) implements Rows {

        @Override
        public long count() {
            return tensor.rows();
        }

        @Override
        public void read(long row, int from, int count, float[] values) {
            MemorySegment.copy(HostRows.segment(tensor), Lanes.FLOAT, (tensor.rowOffset(row) + from) * Float.BYTES, values, 0,
                    count);
        }
    }

    static void run(Workers workers, Tensor x, Linear layer, Tensor out) {
        run(workers, new TensorRows(x), layer, out);
    }

    static void run(Workers workers, Rows x, Linear layer, Tensor out) {
        long rows = x.count();
        long width = layer.out();
        if (rows == 0 || width == 0) {
            return;
        }
        int blockRows = roundUp(Math.ceilDiv(rows, Math.ceilDiv(rows, MAX_ROWS)), TILE);
        long rowBlocks = Math.ceilDiv(rows, blockRows);
        int depth = depth(blockRows, Math.toIntExact(layer.in()));
        int panel = PANEL_FLOATS / depth / TILE * TILE;
        long share = Math.min(width, Math.ceilDiv(width * rowBlocks, 4L * workers.threads()));
        int blockWidth = Math.min(roundUp(share, panel), Math.max(1, MAX_OUTPUTS / blockRows / panel) * panel);
        float[] bias = layer.bias() == null ? null : HostRows.read(layer.bias(), 0);
        long chunks = rowBlocks * Math.ceilDiv(width, blockWidth);
        workers.run(Math.toIntExact(chunks), (chunk, scratch) -> {
            long row = chunk % rowBlocks * blockRows;
            long column = chunk / rowBlocks * blockWidth;
            block(x, layer.weight(), bias, out, row, (int) Math.min(blockRows, rows - row), column,
                    (int) Math.min(blockWidth, width - column), depth, scratch);
        });
    }

    /** How far along K is packed at once: few rows make long runs of W, which memory delivers faster. */
    private static int depth(int rows, int in) {
        int blocks = rows > 48 ? 1 : Math.min(PANEL_FLOATS / BLOCK_FLOATS, Math.max(1, Math.ceilDiv(in, BLOCK)));
        return blocks * BLOCK;
    }

    private static int roundUp(long size, int multiple) {
        return Math.toIntExact(Math.ceilDiv(size, multiple) * multiple);
    }

    private static void block(Rows x, Tensor weight, float[] bias, Tensor out, long row, int rows, long column,
            int width, int depth, Scratch scratch) {
        int in = Math.toIntExact(weight.dim(1));
        int rowTiles = Math.ceilDiv(rows, TILE);
        int columnTiles = Math.ceilDiv(width, TILE);
        int panelTiles = PANEL_FLOATS / depth / TILE;
        float[] xPack = scratch.floats(X_SLOT, rowTiles * TILE * depth);
        float[] wPack = scratch.floats(W_SLOT, PANEL_FLOATS);
        float[] rowValues = scratch.floats(ROW_SLOT, Math.max(depth, width));
        float[] sums = scratch.floats(SUM_SLOT, rowTiles * columnTiles * TILE_SUMS);
        Arrays.fill(sums, 0, rowTiles * columnTiles * TILE_SUMS, 0f);
        for (int from = 0; from < in; from += depth) {
            int count = Math.min(depth, in - from);
            packRows(x, row, rows, from, count, depth, xPack, rowValues);
            for (int panel = 0; panel < columnTiles; panel += panelTiles) {
                int tiles = Math.min(panelTiles, columnTiles - panel);
                int panelRows = Math.min(tiles * TILE, width - panel * TILE);
                pack(weight, column + panel * TILE, panelRows, from, count, depth, wPack, rowValues);
                for (int i = 0; i < rowTiles; i++) {
                    for (int j = 0; j < tiles; j++) {
                        int to = (i * columnTiles + panel + j) * TILE_SUMS;
                        for (int k = 0; k < count; k += BLOCK) {
                            int steps = Math.ceilDiv(Math.min(BLOCK, count - k), COUNT);
                            tile(xPack, TILE * (i * depth + k), wPack, TILE * (j * depth + k), steps, sums, to);
                        }
                    }
                }
            }
        }
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < width; j++) {
                int tile = i / TILE * columnTiles + j / TILE;
                rowValues[j] = Lanes.sum(sums, tile * TILE_SUMS + (i % TILE * TILE + j % TILE) * COUNT);
            }
            if (bias != null) {
                for (int j = 0; j < width; j++) {
                    rowValues[j] += bias[(int) column + j];
                }
            }
            MemorySegment.copy(rowValues, 0, HostRows.segment(out), Lanes.FLOAT,
                    (out.rowOffset(row + i) + column) * Float.BYTES, width);
        }
    }

    /**
     * Nine sums over {@code steps} vectors, added to the sums of earlier blocks.
     *
     * <p>Written out so as to exceed the 325 bytecodes that HotSpot inlines: within its caller the accumulators spill.
     */
    private static void tile(float[] x, int xFrom, float[] w, int wFrom, int steps, float[] sums, int to) {
        FloatVector c00 = FloatVector.zero(FLOATS);
        FloatVector c01 = c00;
        FloatVector c02 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c12 = c00;
        FloatVector c20 = c00;
        FloatVector c21 = c00;
        FloatVector c22 = c00;
        for (int step = 0; step < steps; step++) {
            int wi = wFrom + step * (TILE * COUNT);
            int xi = xFrom + step * (TILE * COUNT);
            FloatVector b0 = FloatVector.fromArray(FLOATS, w, wi);
            FloatVector b1 = FloatVector.fromArray(FLOATS, w, wi + COUNT);
            FloatVector b2 = FloatVector.fromArray(FLOATS, w, wi + 2 * COUNT);
            FloatVector a = FloatVector.fromArray(FLOATS, x, xi);
            c00 = a.fma(b0, c00);
            c01 = a.fma(b1, c01);
            c02 = a.fma(b2, c02);
            a = FloatVector.fromArray(FLOATS, x, xi + COUNT);
            c10 = a.fma(b0, c10);
            c11 = a.fma(b1, c11);
            c12 = a.fma(b2, c12);
            a = FloatVector.fromArray(FLOATS, x, xi + 2 * COUNT);
            c20 = a.fma(b0, c20);
            c21 = a.fma(b1, c21);
            c22 = a.fma(b2, c22);
        }
        FloatVector.fromArray(FLOATS, sums, to).add(c00).intoArray(sums, to);
        FloatVector.fromArray(FLOATS, sums, to + COUNT).add(c01).intoArray(sums, to + COUNT);
        FloatVector.fromArray(FLOATS, sums, to + 2 * COUNT).add(c02).intoArray(sums, to + 2 * COUNT);
        FloatVector.fromArray(FLOATS, sums, to + 3 * COUNT).add(c10).intoArray(sums, to + 3 * COUNT);
        FloatVector.fromArray(FLOATS, sums, to + 4 * COUNT).add(c11).intoArray(sums, to + 4 * COUNT);
        FloatVector.fromArray(FLOATS, sums, to + 5 * COUNT).add(c12).intoArray(sums, to + 5 * COUNT);
        FloatVector.fromArray(FLOATS, sums, to + 6 * COUNT).add(c20).intoArray(sums, to + 6 * COUNT);
        FloatVector.fromArray(FLOATS, sums, to + 7 * COUNT).add(c21).intoArray(sums, to + 7 * COUNT);
        FloatVector.fromArray(FLOATS, sums, to + 8 * COUNT).add(c22).intoArray(sums, to + 8 * COUNT);
    }

    private static void packRows(Rows x, long row, int rows, int from, int count, int depth, float[] pack, float[] rowValues) {
        int padded = roundUp(rows, TILE);
        for (int i = 0; i < padded; i++) {
            int to = i / TILE * TILE * depth + i % TILE * COUNT;
            if (i < rows) {
                x.read(row + i, from, count, rowValues);
                interleave(rowValues, count, pack, to);
            } else {
                zero(pack, to, 0, Math.ceilDiv(count, COUNT));
            }
        }
    }

    /** Rows of W as tiles of three whose vectors alternate; missing rows and elements are zero. */
    private static void pack(Tensor tensor, long row, int rows, int from, int count, int depth,
            float[] pack, float[] rowValues) {
        MemorySegment segment = HostRows.segment(tensor);
        int padded = roundUp(rows, TILE);
        for (int i = 0; i < padded; i++) {
            int to = i / TILE * TILE * depth + i % TILE * COUNT;
            if (i >= rows) {
                zero(pack, to, 0, Math.ceilDiv(count, COUNT));
                continue;
            }
            long element = tensor.rowOffset(row + i) + from;
            switch (tensor.dtype()) {
                case BF16 -> packBf16(segment, element, count, pack, to);
                case F32 -> packF32(segment, element, count, pack, to);
                default -> {
                    read(tensor, segment, element, count, rowValues);
                    interleave(rowValues, count, pack, to);
                }
            }
        }
    }

    private static void packBf16(MemorySegment segment, long element, int count, float[] pack, int to) {
        int steps = count / COUNT;
        for (int step = 0; step < steps; step++) {
            Lanes.loadBf16(segment, (element + step * COUNT) * Short.BYTES).intoArray(pack, to + step * (TILE * COUNT));
        }
        if (count % COUNT != 0) {
            zero(pack, to, steps, steps + 1);
            for (int i = 0; i < count % COUNT; i++) {
                short bits = segment.get(Lanes.SHORT, (element + steps * COUNT + i) * Short.BYTES);
                pack[to + steps * (TILE * COUNT) + i] = Float.intBitsToFloat(bits << 16);
            }
        }
    }

    private static void packF32(MemorySegment segment, long element, int count, float[] pack, int to) {
        int steps = count / COUNT;
        for (int step = 0; step < steps; step++) {
            Lanes.load(segment, (element + step * COUNT) * Float.BYTES).intoArray(pack, to + step * (TILE * COUNT));
        }
        if (count % COUNT != 0) {
            zero(pack, to, steps, steps + 1);
            MemorySegment.copy(segment, Lanes.FLOAT, (element + steps * COUNT) * Float.BYTES, pack,
                    to + steps * (TILE * COUNT), count % COUNT);
        }
    }

    private static void read(Tensor tensor, MemorySegment segment, long element, int count, float[] values) {
        if (tensor.dtype() != DType.F16) {
            tensor.storage().read(tensor.dtype(), element, count, values, 0);
            return;
        }
        for (int i = 0; i < count; i++) {
            values[i] = Float.float16ToFloat(segment.get(Lanes.SHORT, (element + i) * Short.BYTES));
        }
    }

    private static void interleave(float[] values, int count, float[] pack, int to) {
        int steps = count / COUNT;
        for (int step = 0; step < steps; step++) {
            FloatVector.fromArray(FLOATS, values, step * COUNT).intoArray(pack, to + step * (TILE * COUNT));
        }
        if (count % COUNT != 0) {
            zero(pack, to, steps, steps + 1);
            System.arraycopy(values, steps * COUNT, pack, to + steps * (TILE * COUNT), count % COUNT);
        }
    }

    private static void zero(float[] pack, int to, int fromStep, int toStep) {
        for (int step = fromStep; step < toStep; step++) {
            FloatVector.zero(FLOATS).intoArray(pack, to + step * (TILE * COUNT));
        }
    }
}
