package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/**
 * What attention is computed of, head by head.
 *
 * @param q [batches, queries, heads * headDim] f32; rows of this and the others may lie in wider ones
 * @param k [batches, keys, kvHeads * headDim] f32
 * @param v as {@code k}
 * @param out as {@code q}
 */
record AttentionHeads(Tensor q, Tensor k, Tensor v, int heads, int kvHeads, AttentionMask mask, Tensor out) {

    int batches() {
        return Math.toIntExact(q.dim(0));
    }

    int queries() {
        return Math.toIntExact(q.dim(1));
    }

    int keys() {
        return Math.toIntExact(k.dim(1));
    }

    int headDim() {
        return Math.toIntExact(q.dim(2) / heads);
    }

    /** The head of k and v that a head of queries meets. */
    int kvHead(int head) {
        return head / (heads / kvHeads);
    }

    /** How many of the keys, from the first on, a query sees. */
    int visible(int batch, int query) {
        return Math.toIntExact(Math.max(0, mask.visible(batch, query, keys())));
    }

    /** Bytes from the start of a tensor's memory to a head of a row. */
    long at(Tensor tensor, int batch, int row, int head) {
        return (tensor.rowOffset(batch * tensor.dim(1) + row) + (long) head * headDim()) * Float.BYTES;
    }

    /** A tensor's memory from a head of a row on. */
    MemorySegment from(Tensor tensor, int batch, int row, int head) {
        return HostRows.segment(tensor).asSlice(at(tensor, batch, row, head));
    }
}
