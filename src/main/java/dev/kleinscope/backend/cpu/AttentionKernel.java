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
 * Attention by blocks of query rows: all scores of a block, an exact softmax, then the weighted values.
 *
 * <p>Keys and values are first packed into {@link Panels}, keys side by side and values along their channels; both products are then made
 * of {@link Tile}s. A block's scores stay in the second cache, and a panel in the first while all rows of a block meet it. Sums are f32
 * over blocks of at most 128 terms, in an order that depends on nothing but the shapes of a head.
 */
final class AttentionKernel {

    private static final int BLOCK_ROWS = 66 / Tile.ROWS * Tile.ROWS;
    /** Terms summed in a row: fewer than elsewhere, as weights are positive and exponentials enlarge what scores are off. */
    private static final int SUMMED = 128;

    private static final int QUERY_SLOT = 0;
    private static final int SCORE_SLOT = 1;
    private static final int SUM_SLOT = 2;
    private static final int ROW_SLOT = 3;

    private final AttentionHeads operands;
    private final Tensor out;
    private final int headDim;
    private final int keys;

    AttentionKernel(AttentionHeads operands) {
        this.operands = operands;
        out = operands.out();
        headDim = operands.headDim();
        keys = operands.keys();
    }

    /** One head's columns of a tensor. */
    private record HeadRows(Rows all, long first, int head, int headDim) implements Rows {

        @Override
        public long count() {
            return all.count();
        }

        @Override
        public void read(long row, int from, int count, float[] values, int at) {
            all.read(first + row, head * headDim + from, count, values, at);
        }
    }

    void run(Workers workers) {
        int batches = operands.batches();
        int queries = operands.queries();
        int heads = operands.heads();
        int kvHeads = operands.kvHeads();
        if (batches == 0 || queries == 0) {
            return;
        }
        long keyFloats = Panels.floats(Tile.WIDTH, keys, headDim);
        long valueFloats = Panels.floats(Tile.WIDTH, headDim, keys);
        float[] packed = workers.shared(Math.toIntExact(batches * kvHeads * (keyFloats + valueFloats)));
        Panels[] keyPanels = new Panels[batches * kvHeads];
        Panels[] valuePanels = new Panels[keyPanels.length];
        for (int pair = 0; pair < keyPanels.length; pair++) {
            keyPanels[pair] = new Panels(packed, (int) (pair * keyFloats), Tile.WIDTH, keys, headDim);
            valuePanels[pair] = new Panels(packed, (int) (keyPanels.length * keyFloats + pair * valueFloats), Tile.WIDTH, headDim,
                    keys);
        }
        Rows keyRows = Rows.of(operands.k());
        Rows valueRows = Rows.of(operands.v());
        int parts = Math.ceilDiv(keys, Tile.TERMS);
        workers.run(keyPanels.length * parts, (chunk, scratch) -> {
            int pair = chunk / parts;
            long first = (long) pair / kvHeads * keys;
            int head = pair % kvHeads;
            int part = chunk % parts;
            pack(keyPanels[pair], new HeadRows(keyRows, first, head, headDim), part, scratch);
            valuePanels[pair].packColumns(new HeadRows(valueRows, first, head, headDim), 0, part, scratch);
        });
        int blocks = Math.ceilDiv(queries, BLOCK_ROWS);
        workers.run(batches * heads * blocks, (chunk, scratch) -> {
            int from = chunk % blocks * BLOCK_ROWS;
            int batch = chunk / blocks / heads;
            int head = chunk / blocks % heads;
            int pair = batch * kvHeads + operands.kvHead(head);
            attend(batch, head, from, Math.min(BLOCK_ROWS, queries - from), keyPanels[pair], valuePanels[pair], scratch);
        });
    }

    /** The keys of a part, whole panels of them. */
    private static void pack(Panels panels, Rows from, int part, Scratch scratch) {
        int perPart = Tile.TERMS / Tile.WIDTH;
        for (int panel = part * perPart; panel < Math.min(panels.count(), (part + 1) * perPart); panel++) {
            for (int block = 0; block < panels.blocks(); block++) {
                panels.pack(from, 0, block, panel, scratch);
            }
        }
    }

    private void attend(int batch, int head, int from, int rows, Panels keyPanels, Panels valuePanels, Scratch scratch) {
        int visible = operands.visible(batch, from + rows - 1);
        float[] query = scratch.floats(QUERY_SLOT, BLOCK_ROWS * Tile.TERMS * keyPanels.blocks());
        float[] scores = scratch.floats(SCORE_SLOT, BLOCK_ROWS * Tile.TERMS * Math.ceilDiv(keys, Tile.TERMS));
        float[] row = scratch.floats(ROW_SLOT, Math.max(headDim, COUNT));
        gather(batch, head, from, rows, query, row);
        for (int panel = 0; panel < Math.ceilDiv(visible, Tile.WIDTH); panel++) {
            int key = panel * Tile.WIDTH;
            int to = key / Tile.TERMS * BLOCK_ROWS * Tile.TERMS + key % Tile.TERMS;
            for (int block = 0; block < keyPanels.blocks(); block++) {
                product(query, block, keyPanels, panel, keyPanels.terms(block), rows, scores, to, Tile.TERMS);
            }
        }

        int channels = valuePanels.count() * Tile.WIDTH;
        float[] sums = scratch.floats(SUM_SLOT, BLOCK_ROWS * (channels + 1));
        int totals = BLOCK_ROWS * channels;
        float scale = Softmax.scale(headDim);
        for (int i = 0; i < rows; i++) {
            int seen = operands.visible(batch, from + i);
            sums[totals + i] = softmax(scores, i * Tile.TERMS, seen, visible, scale, row);
        }
        if (visible == 0) {
            Arrays.fill(sums, 0, totals, 0f);
        }
        for (int block = 0; block * Tile.TERMS < visible; block++) {
            int terms = Math.min(Tile.TERMS, visible - block * Tile.TERMS);
            for (int panel = 0; panel < valuePanels.count(); panel++) {
                product(scores, block, valuePanels, panel, terms, rows, sums, panel * Tile.WIDTH, channels);
            }
        }
        MemorySegment target = HostRows.segment(out);
        for (int i = 0; i < rows; i++) {
            for (int channel = 0; channel < headDim; channel++) {
                row[channel] = sums[i * channels + channel] / sums[totals + i];
            }
            MemorySegment.copy(row, 0, target, Lanes.FLOAT, operands.at(out, batch, from + i, head), headDim);
        }
    }

    /** Adds {@code terms} terms of a block, the first of them in its place, for all rows of a block of queries. */
    private static void product(float[] rows, int block, Panels panels, int panel, int terms, int count, float[] sums, int to, int stride) {
        int at = panels.at(block, panel);
        for (int term = 0; term < terms; term += SUMMED) {
            for (int i = 0; i < count; i += Tile.ROWS) {
                Tile.multiply(rows, (block * BLOCK_ROWS + i) * Tile.TERMS + term, panels.values(), at + term * Tile.WIDTH,
                        Math.min(SUMMED, terms - term), sums, to + i * stride, stride, block == 0 && term == 0);
            }
        }
    }

    private void gather(int batch, int head, int from, int rows, float[] query, float[] row) {
        MemorySegment segment = HostRows.segment(operands.q());
        for (int i = 0; i < rows; i++) {
            MemorySegment.copy(segment, Lanes.FLOAT, operands.at(operands.q(), batch, from + i, head), row, 0, headDim);
            for (int channel = 0; channel < headDim; channel++) {
                query[(channel / Tile.TERMS * BLOCK_ROWS + i) * Tile.TERMS + channel % Tile.TERMS] = row[channel];
            }
        }
    }

    /**
     * Replaces the first {@code seen} scores of a row by {@code 2^(scale (score - largest))} and those after them, up to {@code visible}, by
     * zero.
     *
     * @param lanes scratch
     * @return the sum of the powers; 1 where there are none
     */
    private static float softmax(float[] scores, int from, int seen, int visible, float scale, float[] lanes) {
        if (seen == 0) {
            clear(scores, from, 0, visible);
            return 1;
        }
        float maximum = Float.NEGATIVE_INFINITY;
        for (int first = 0; first < seen; first += Tile.TERMS) {
            maximum = largest(scores, from + first * BLOCK_ROWS, Math.min(Tile.TERMS, seen - first), maximum);
        }
        double total = 0;
        for (int first = 0; first < seen; first += Tile.TERMS) {
            total += powers(scores, from + first * BLOCK_ROWS, Math.min(Tile.TERMS, seen - first), scale, -maximum * scale, lanes);
        }
        clear(scores, from, seen, visible);
        return (float) total;
    }

    /** As {@link Softmax} finds it. */
    private static float largest(float[] scores, int from, int count, float least) {
        FloatVector largest = Lanes.broadcast(least);
        int whole = count / COUNT * COUNT;
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector score = FloatVector.fromArray(FLOATS, scores, from + i);
            largest = largest.blend(score, score.compare(VectorOperators.GT, largest));
        }
        float maximum = largest.reduceLanes(VectorOperators.MAX);
        for (int i = whole; i < count; i++) {
            maximum = Math.max(maximum, scores[from + i]);
        }
        return maximum;
    }

    private static double powers(float[] scores, int from, int count, float scale, float shift, float[] lanes) {
        FloatVector factor = Lanes.broadcast(scale);
        FloatVector term = Lanes.broadcast(shift);
        FloatVector sum = FloatVector.zero(FLOATS);
        int whole = count / COUNT * COUNT;
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector power = Lanes.exp2(FloatVector.fromArray(FLOATS, scores, from + i).fma(factor, term));
            power.intoArray(scores, from + i);
            sum = sum.add(power);
        }
        sum.intoArray(lanes, 0);
        double total = Lanes.sum(lanes, 0);
        if (whole < count) {
            Lanes.exp2(FloatVector.fromArray(FLOATS, scores, from + whole).fma(factor, term)).intoArray(scores, from + whole);
            for (int i = whole; i < count; i++) {
                total += scores[from + i];
            }
        }
        return total;
    }

    private static void clear(float[] scores, int from, int seen, int visible) {
        for (int key = seen; key < visible; key++) {
            scores[from + key / Tile.TERMS * BLOCK_ROWS * Tile.TERMS + key % Tile.TERMS] = 0;
        }
    }
}
