package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Attention by blocks of query rows: all scores of a block, an exact softmax, then the weighted values.
 *
 * <p>Keys are first packed across and values along their channels, in tiles of two vectors, padded with zeros. Both
 * products are then the same: five rows of single numbers times a tile. Sums are f32 over blocks of 64 terms, in an
 * order that depends on nothing but the shapes of a head.
 */
final class AttentionKernel {

    private static final int TILE_ROWS = 5;
    private static final int TILE = 2 * COUNT;
    private static final int BLOCK_ROWS = 12 * TILE_ROWS;
    private static final int BLOCK_TERMS = 64;

    private static final int QUERY_SLOT = 0;
    private static final int SCORE_SLOT = 1;
    private static final int SUM_SLOT = 2;
    private static final int ROW_SLOT = 3;
    private static final int TILE_SLOT = 4;

    private final Tensor q;
    private final Tensor k;
    private final Tensor v;
    private final Tensor out;
    private final AttentionMask mask;
    private final int heads;
    private final int kvHeads;
    private final int headDim;
    private final int keys;
    private final int keyTiles;
    private final int channelTiles;
    private final MemorySegment packedKeys;
    private final MemorySegment packedValues;

    /** @param packed room for {@link #packedFloats} */
    AttentionKernel(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask, Tensor out,
            MemorySegment packed) {
        this.q = q;
        this.k = k;
        this.v = v;
        this.out = out;
        this.mask = mask;
        this.heads = Math.toIntExact(heads);
        this.kvHeads = Math.toIntExact(kvHeads);
        this.headDim = Math.toIntExact(q.dim(2) / heads);
        this.keys = Math.toIntExact(k.dim(1));
        this.keyTiles = Math.ceilDiv(keys, TILE);
        this.channelTiles = Math.ceilDiv(headDim, TILE);
        long keyBytes = k.dim(0) * kvHeads * headKeyFloats() * Float.BYTES;
        this.packedKeys = packed.asSlice(0, keyBytes);
        this.packedValues = packed.asSlice(keyBytes);
    }

    static long packedFloats(Tensor k, long kvHeads) {
        long headDim = k.dim(2) / kvHeads;
        return k.dim(0) * kvHeads * (Math.ceilDiv(k.dim(1), TILE) * TILE * headDim
                + Math.ceilDiv(headDim, TILE) * TILE * k.dim(1));
    }

    void run(Workers workers) {
        int batches = Math.toIntExact(q.dim(0));
        int queries = Math.toIntExact(q.dim(1));
        if (batches == 0 || queries == 0) {
            return;
        }
        workers.run(batches * kvHeads * keyTiles, (chunk, scratch) ->
                pack(chunk / keyTiles / kvHeads, chunk / keyTiles % kvHeads, chunk % keyTiles, scratch));
        int blocks = Math.ceilDiv(queries, BLOCK_ROWS);
        workers.run(batches * heads * blocks, (chunk, scratch) -> {
            int from = chunk % blocks * BLOCK_ROWS;
            attend(chunk / blocks / heads, chunk / blocks % heads, from, Math.min(BLOCK_ROWS, queries - from), scratch);
        });
    }

    private long headKeyFloats() {
        return (long) keyTiles * TILE * headDim;
    }

    private long headValueFloats() {
        return (long) channelTiles * TILE * keys;
    }

    /** Keys as [tile][channel][key], values as [tile][key][channel]. */
    private void pack(int batch, int head, int tile, Scratch scratch) {
        long pair = (long) batch * kvHeads + head;
        long keyBase = pair * headKeyFloats() + (long) tile * TILE * headDim;
        float[] row = scratch.floats(ROW_SLOT, channelTiles * TILE);
        float[] across = scratch.floats(SCORE_SLOT, TILE * headDim);
        Arrays.fill(across, 0, TILE * headDim, 0f);
        Arrays.fill(row, headDim, channelTiles * TILE, 0f);
        int first = tile * TILE;
        for (int key = first; key < Math.min(first + TILE, keys); key++) {
            read(k, batch * k.dim(1) + key, head, row);
            for (int channel = 0; channel < headDim; channel++) {
                across[channel * TILE + key - first] = row[channel];
            }
            read(v, batch * v.dim(1) + key, head, row);
            for (int i = 0; i < channelTiles; i++) {
                long to = pair * headValueFloats() + ((long) i * keys + key) * TILE;
                MemorySegment.copy(row, i * TILE, packedValues, Lanes.FLOAT, to * Float.BYTES, TILE);
            }
        }
        MemorySegment.copy(across, 0, packedKeys, Lanes.FLOAT, keyBase * Float.BYTES, TILE * headDim);
    }

    private void read(Tensor tensor, long row, int head, float[] target) {
        long from = tensor.rowOffset(row) + (long) head * headDim;
        MemorySegment.copy(HostRows.segment(tensor), Lanes.FLOAT, from * Float.BYTES, target, 0, headDim);
    }

    private void attend(int batch, int head, int from, int rows, Scratch scratch) {
        int tiledRows = Math.ceilDiv(rows, TILE_ROWS) * TILE_ROWS;
        int visible = Math.toIntExact(Math.max(0, mask.visible(batch, from + rows - 1, keys)));
        int visibleTiles = Math.ceilDiv(visible, TILE);
        int width = keyTiles * TILE;
        long pair = (long) batch * kvHeads + head / (heads / kvHeads);

        float[] query = scratch.floats(QUERY_SLOT, BLOCK_ROWS * headDim);
        float[] scores = scratch.floats(SCORE_SLOT, BLOCK_ROWS * width);
        float[] row = scratch.floats(ROW_SLOT, Math.max(headDim, COUNT));
        Arrays.fill(query, rows * headDim, tiledRows * headDim, 0f);
        float scale = (float) (1 / Math.sqrt(headDim));
        for (int i = 0; i < rows; i++) {
            read(q, batch * q.dim(1) + from + i, head, row);
            for (int channel = 0; channel < headDim; channel++) {
                query[i * headDim + channel] = row[channel] * scale;
            }
            Arrays.fill(scores, i * width, i * width + visibleTiles * TILE, 0f);
        }
        Arrays.fill(scores, rows * width, tiledRows * width, 0f);
        float[] tileValues = scratch.floats(TILE_SLOT, Math.max(headDim, BLOCK_TERMS) * TILE);
        for (int tile = 0; tile < visibleTiles; tile++) {
            unpack(packedKeys, pair * headKeyFloats() + (long) tile * TILE * headDim, headDim, tileValues);
            for (int i = 0; i < rows; i += TILE_ROWS) {
                product(query, i * headDim, headDim, tileValues, headDim, scores, i * width + tile * TILE, width);
            }
        }

        int channels = channelTiles * TILE;
        float[] sums = scratch.floats(SUM_SLOT, BLOCK_ROWS * (channels + 1));
        int totals = BLOCK_ROWS * channels;
        Arrays.fill(sums, 0, tiledRows * channels, 0f);
        for (int i = 0; i < rows; i++) {
            int seen = Math.toIntExact(Math.max(0, mask.visible(batch, from + i, keys)));
            sums[totals + i] = softmax(scores, i * width, seen, visibleTiles * TILE, row);
        }
        for (int term = 0; term < visible; term += BLOCK_TERMS) {
            int terms = Math.min(BLOCK_TERMS, visible - term);
            for (int tile = 0; tile < channelTiles; tile++) {
                unpack(packedValues, pair * headValueFloats() + ((long) tile * keys + term) * TILE, terms, tileValues);
                for (int i = 0; i < rows; i += TILE_ROWS) {
                    product(scores, i * width + term, width, tileValues, terms, sums, i * channels + tile * TILE, channels);
                }
            }
        }
        for (int i = 0; i < rows; i++) {
            for (int channel = 0; channel < headDim; channel++) {
                row[channel] = sums[i * channels + channel] / sums[totals + i];
            }
            long to = out.rowOffset(batch * out.dim(1) + from + i) + (long) head * headDim;
            MemorySegment.copy(row, 0, HostRows.segment(out), Lanes.FLOAT, to * Float.BYTES, headDim);
        }
    }

    /**
     * Replaces the first {@code seen} scores by {@code e^(score - largest)} and the others by zero.
     *
     * @return the sum of the exponentials; 1 where nothing is seen, so that the result is zero
     */
    private static float softmax(float[] scores, int from, int seen, int width, float[] lanes) {
        if (seen == 0) {
            Arrays.fill(scores, from, from + width, 0f);
            return 1;
        }
        int whole = seen / COUNT * COUNT;
        // Padding takes a value that is there, and counts for nothing below.
        Arrays.fill(scores, from + seen, from + width, scores[from]);
        FloatVector largest = FloatVector.fromArray(FLOATS, scores, from);
        for (int i = COUNT; i < seen; i += COUNT) {
            largest = largest.max(FloatVector.fromArray(FLOATS, scores, from + i));
        }
        float maximum = largest.reduceLanes(VectorOperators.MAX);
        double total = 0;
        for (int block = 0; block < whole; block += BLOCK_TERMS) {
            FloatVector sum = FloatVector.zero(FLOATS);
            int end = Math.min(block + BLOCK_TERMS, whole);
            for (int i = block; i < end; i += COUNT) {
                FloatVector e = Lanes.exp(FloatVector.fromArray(FLOATS, scores, from + i).sub(maximum));
                e.intoArray(scores, from + i);
                sum = sum.add(e);
            }
            sum.intoArray(lanes, 0);
            total += Lanes.sum(lanes, 0);
        }
        if (whole < seen) {
            Lanes.exp(FloatVector.fromArray(FLOATS, scores, from + whole).sub(maximum)).intoArray(scores, from + whole);
            for (int i = whole; i < seen; i++) {
                total += scores[from + i];
            }
        }
        Arrays.fill(scores, from + seen, from + width, 0f);
        return (float) total;
    }

    /** To an array, which takes fewer registers to read than a segment does. */
    private static void unpack(MemorySegment packed, long from, int terms, float[] tile) {
        MemorySegment.copy(packed, Lanes.FLOAT, from * Float.BYTES, tile, 0, terms * TILE);
    }

    /** Adds to {@code c} five rows of {@code a} times {@code terms} rows of the tile {@code b}, in blocks of terms. */
    private static void product(float[] a, int from, int aStride, float[] b, int terms, float[] c, int to, int cStride) {
        for (int term = 0; term < terms; term += BLOCK_TERMS) {
            block(a, from + term, aStride, b, term * TILE, Math.min(BLOCK_TERMS, terms - term), c, to, cStride);
        }
    }

    /** Ten accumulators and three operands: what registers hold. Too long to be inlined where they would spill. */
    private static void block(float[] a, int a0, int aStride, float[] b, int from, int terms, float[] c, int to,
            int cStride) {
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
        int a1 = a0 + aStride;
        int a2 = a1 + aStride;
        int a3 = a2 + aStride;
        int a4 = a3 + aStride;
        for (int term = 0; term < terms; term++) {
            FloatVector b0 = FloatVector.fromArray(FLOATS, b, from + term * TILE);
            FloatVector b1 = FloatVector.fromArray(FLOATS, b, from + term * TILE + COUNT);
            FloatVector x = FloatVector.broadcast(FLOATS, a[a0 + term]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            x = FloatVector.broadcast(FLOATS, a[a1 + term]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            x = FloatVector.broadcast(FLOATS, a[a2 + term]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            x = FloatVector.broadcast(FLOATS, a[a3 + term]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            x = FloatVector.broadcast(FLOATS, a[a4 + term]);
            c40 = x.fma(b0, c40);
            c41 = x.fma(b1, c41);
        }
        FloatVector.fromArray(FLOATS, c, to).add(c00).intoArray(c, to);
        FloatVector.fromArray(FLOATS, c, to + COUNT).add(c01).intoArray(c, to + COUNT);
        to += cStride;
        FloatVector.fromArray(FLOATS, c, to).add(c10).intoArray(c, to);
        FloatVector.fromArray(FLOATS, c, to + COUNT).add(c11).intoArray(c, to + COUNT);
        to += cStride;
        FloatVector.fromArray(FLOATS, c, to).add(c20).intoArray(c, to);
        FloatVector.fromArray(FLOATS, c, to + COUNT).add(c21).intoArray(c, to + COUNT);
        to += cStride;
        FloatVector.fromArray(FLOATS, c, to).add(c30).intoArray(c, to);
        FloatVector.fromArray(FLOATS, c, to + COUNT).add(c31).intoArray(c, to + COUNT);
        to += cStride;
        FloatVector.fromArray(FLOATS, c, to).add(c40).intoArray(c, to);
        FloatVector.fromArray(FLOATS, c, to + COUNT).add(c41).intoArray(c, to + COUNT);
    }
}
