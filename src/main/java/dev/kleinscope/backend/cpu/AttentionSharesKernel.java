package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * How attention is spread over groups of keys, head by head: the keys of a head packed across in tiles of two vectors, then a few
 * queries' scores at a time. Scores are f32; sums are f32 over 64 terms and f64 beyond, in an order that the shapes alone decide.
 */
final class AttentionSharesKernel {

    private static final int TILE = 2 * COUNT;
    private static final int TILE_ROWS = 4;
    private static final int BLOCK_ROWS = 4 * TILE_ROWS;
    private static final int BLOCK_TERMS = 64;

    private static final int QUERY_SLOT = 0;
    private static final int SCORE_SLOT = 1;
    private static final int LANE_SLOT = 2;

    private final Tensor q;
    private final Tensor k;
    private final Tensor out;
    private final int[] groups;
    private final int heads;
    private final int headDim;
    private final int queries;
    private final int keys;
    private final int tiles;

    AttentionSharesKernel(Tensor q, Tensor k, long heads, int[] groups, Tensor out) {
        this.q = q;
        this.k = k;
        this.out = out;
        this.groups = groups;
        this.heads = Math.toIntExact(heads);
        headDim = Math.toIntExact(q.dim(2) / heads);
        queries = Math.toIntExact(q.dim(1));
        keys = groups.length;
        tiles = Math.ceilDiv(keys, TILE);
    }

    void run(Workers workers) {
        float[] packed = new float[Math.multiplyExact(tiles * TILE, headDim)];
        for (long batch = 0; batch < q.dim(0); batch++) {
            for (int i = 0; i < heads; i++) {
                long element = batch;
                int head = i;
                workers.run(tiles, (tile, _) -> pack(element, head, tile, packed));
                workers.run(Math.ceilDiv(queries, BLOCK_ROWS), (block, scratch) -> spread(element, head, block * BLOCK_ROWS,
                        Math.min(BLOCK_ROWS, queries - block * BLOCK_ROWS), packed, scratch));
            }
        }
    }

    /** Keys as [tile][channel][key], zeros beyond the last. */
    private void pack(long batch, int head, int tile, float[] packed) {
        MemorySegment segment = HostRows.segment(k);
        int to = tile * TILE * headDim;
        Arrays.fill(packed, to, to + TILE * headDim, 0f);
        for (int key = tile * TILE; key < Math.min(keys, (tile + 1) * TILE); key++) {
            long from = k.rowOffset(batch * keys + key) + (long) head * headDim;
            for (int channel = 0; channel < headDim; channel++) {
                packed[to + channel * TILE + key - tile * TILE] = segment.get(Lanes.FLOAT, (from + channel) * Float.BYTES);
            }
        }
    }

    private void spread(long batch, int head, int first, int rows, float[] packed, Scratch scratch) {
        int width = tiles * TILE;
        float[] query = scratch.floats(QUERY_SLOT, BLOCK_ROWS * headDim);
        float[] scores = scratch.floats(SCORE_SLOT, BLOCK_ROWS * width);
        float[] lanes = scratch.floats(LANE_SLOT, COUNT);
        Arrays.fill(query, rows * headDim, BLOCK_ROWS * headDim, 0f);
        float scale = (float) (1 / Math.sqrt(headDim));
        for (int row = 0; row < rows; row++) {
            long from = q.rowOffset(batch * queries + first + row) + (long) head * headDim;
            MemorySegment.copy(HostRows.segment(q), Lanes.FLOAT, from * Float.BYTES, query, row * headDim, headDim);
        }
        for (int i = 0; i < rows * headDim; i++) {
            query[i] *= scale;
        }
        for (int tile = 0; tile < tiles; tile++) {
            for (int row = 0; row < rows; row += TILE_ROWS) {
                product(query, row * headDim, packed, tile * TILE * headDim, scores, row * width + tile * TILE, width);
            }
        }
        for (int row = 0; row < rows; row++) {
            float[] shares = shares(scores, row * width, width, lanes);
            HostRows.write(out, (batch * heads + head) * queries + first + row, shares);
        }
    }

    /** Scores of four queries with a tile of keys: eight accumulators. */
    private void product(float[] query, int from, float[] packed, int tile, float[] scores, int to, int width) {
        FloatVector c00 = FloatVector.zero(FLOATS);
        FloatVector c01 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c20 = c00;
        FloatVector c21 = c00;
        FloatVector c30 = c00;
        FloatVector c31 = c00;
        for (int channel = 0; channel < headDim; channel++) {
            FloatVector b0 = FloatVector.fromArray(FLOATS, packed, tile + channel * TILE);
            FloatVector b1 = FloatVector.fromArray(FLOATS, packed, tile + channel * TILE + COUNT);
            FloatVector x = Lanes.broadcast(query[from + channel]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            x = Lanes.broadcast(query[from + headDim + channel]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            x = Lanes.broadcast(query[from + 2 * headDim + channel]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            x = Lanes.broadcast(query[from + 3 * headDim + channel]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
        }
        c00.intoArray(scores, to);
        c01.intoArray(scores, to + COUNT);
        c10.intoArray(scores, to + width);
        c11.intoArray(scores, to + width + COUNT);
        c20.intoArray(scores, to + 2 * width);
        c21.intoArray(scores, to + 2 * width + COUNT);
        c30.intoArray(scores, to + 3 * width);
        c31.intoArray(scores, to + 3 * width + COUNT);
    }

    /** Entropy and shares of a row of scores, which it overwrites. */
    private float[] shares(float[] scores, int from, int width, float[] lanes) {
        Arrays.fill(scores, from + keys, from + width, Float.NEGATIVE_INFINITY);
        FloatVector largest = FloatVector.fromArray(FLOATS, scores, from);
        for (int i = COUNT; i < width; i += COUNT) {
            largest = largest.max(FloatVector.fromArray(FLOATS, scores, from + i));
        }
        float maximum = largest.reduceLanes(VectorOperators.MAX);
        // e^0 times 0: nothing to the entropy
        Arrays.fill(scores, from + keys, from + width, maximum);
        double weighted = 0;
        for (int block = 0; block < width; block += BLOCK_TERMS) {
            FloatVector sum = FloatVector.zero(FLOATS);
            for (int i = block; i < Math.min(block + BLOCK_TERMS, width); i += COUNT) {
                FloatVector below = FloatVector.fromArray(FLOATS, scores, from + i).sub(maximum);
                FloatVector e = Lanes.exp(below);
                e.intoArray(scores, from + i);
                sum = e.fma(below, sum);
            }
            sum.intoArray(lanes, 0);
            weighted += Lanes.sum(lanes, 0);
        }
        double[] sums = new double[Math.toIntExact(out.dim(2)) - 1];
        double total = 0;
        for (int key = 0; key < keys;) {
            int end = key + 1;
            while (end < keys && groups[end] == groups[key]) {
                end++;
            }
            double sum = sum(scores, from + key, from + end, lanes);
            sums[groups[key]] += sum;
            total += sum;
            key = end;
        }
        float[] shares = new float[1 + sums.length];
        // rounding may leave what is mathematically within 0 and ln(keys) a little outside
        shares[0] = (float) Math.clamp(Math.log(total) - weighted / total, 0, Math.log(keys));
        for (int group = 0; group < sums.length; group++) {
            shares[1 + group] = (float) (sums[group] / total);
        }
        return shares;
    }

    private static double sum(float[] values, int from, int to, float[] lanes) {
        double total = 0;
        int i = from;
        while (i + COUNT <= to) {
            FloatVector sum = FloatVector.zero(FLOATS);
            for (int end = Math.min(i + BLOCK_TERMS, to); i + COUNT <= end; i += COUNT) {
                sum = sum.add(FloatVector.fromArray(FLOATS, values, i));
            }
            sum.intoArray(lanes, 0);
            total += Lanes.sum(lanes, 0);
        }
        for (; i < to; i++) {
            total += values[i];
        }
        return total;
    }
}
