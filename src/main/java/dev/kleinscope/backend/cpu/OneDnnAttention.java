package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;

import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.function.Consumer;

/**
 * Attention by blocks of query rows whose products are oneDNN's: all scores of a block, an exact softmax, then the weighted values.
 *
 * <p>Keys and values are first packed as oneDNN multiplies by them fastest, in chunks of keys. A block is one of our threads', and a product
 * one thread's: a result's bits depend on its inputs and the machine, not on the number of threads. Sums are f32 over 128 channels or a
 * chunk of keys at most, and then over those. Values of keys that nobody in a block sees may be multiplied by zeros.
 */
final class OneDnnAttention implements AutoCloseable {

    /** Keys of a chunk: enough for a product to pay its call, few enough to bound the rounding error. */
    private static final int CHUNK_KEYS = 512;
    /** Channels whose products are summed at once: exponentials enlarge what scores are off. */
    private static final int PIECE_CHANNELS = 128;
    /** Where a block of queries sees about the keys before it, chunks and blocks of so many compute little that nobody sees. */
    private static final int CAUSAL_KEYS = 128;
    private static final int MOST_ROWS = 192;
    private static final int LEAST_ROWS = 64;
    /** Scores of a block that stay in the second cache between products and softmax. */
    private static final int BLOCK_SCORES = 1 << 18;
    /** Elements that rows of scores are apart beyond their length, lest all begin in the same lines of the first cache. */
    private static final int APART = 16;
    private static final int ALIGNMENT = 16;

    private static final int TOTAL_SLOT = 0;
    private static final int LANE_SLOT = 1;

    private final long leastScores;
    private final BlockingQueue<Seat> seats;

    /** What one thread at a time computes a block with. */
    private record Seat(int index, OneDnnPrograms programs) {
    }

    /**
     * @param engine stays the caller's, and open until this is closed
     * @param threads that compute at once at most
     * @param leastScores how many scores a head has that is worth a product
     */
    OneDnnAttention(MemorySegment engine, int threads, long leastScores) {
        this.leastScores = leastScores;
        seats = new ArrayBlockingQueue<>(threads);
        for (int i = 0; i < threads; i++) {
            seats.add(new Seat(i, new OneDnnPrograms(engine)));
        }
    }

    /**
     * How attention is divided, which its shapes and strides alone decide.
     *
     * @param rows queries of a block
     * @param chunkKeys keys of a chunk; the last may have fewer
     * @param pieceChannels channels of a head that scores are summed over at once; the last piece may have fewer
     * @param rowFloats from one row of scores to the next
     * @param keyFloats that a chunk's piece of keys takes at most, packed
     * @param valueFloats that a chunk of values takes at most, packed
     */
    record Plan(int rows, int blocks, int chunkKeys, int chunks, int pieceChannels, int pieces, int rowFloats, long keyFloats,
            long valueFloats) {

        long chunkFloats() {
            return pieces * keyFloats + valueFloats;
        }

        /** Where a packed piece of a chunk's keys begins; after the last piece the chunk's values. */
        long byteOffset(int chunk, int piece) {
            return (chunk * chunkFloats() + piece * keyFloats) * Float.BYTES;
        }

        /** That blocks under way take. */
        long scoreFloats(int threads) {
            return (long) threads * rows * rowFloats;
        }

        /** That keys and values of so many heads take, packed. */
        long packedFloats(int heads) {
            return heads * chunks * chunkFloats();
        }
    }

    /** @return null where our own kernel is to be used */
    Plan plan(AttentionHeads heads) {
        int queries = heads.queries();
        int keys = heads.keys();
        if (heads.batches() == 0 || queries == 0 || keys == 0 || (long) queries * keys < leastScores) {
            return null;
        }
        boolean causal = heads.mask().causal();
        int chunkKeys = even(keys, causal ? CAUSAL_KEYS : CHUNK_KEYS, ALIGNMENT);
        int channels = even(heads.headDim(), PIECE_CHANNELS, ALIGNMENT);
        int rowFloats = Math.ceilDiv(keys, ALIGNMENT) * ALIGNMENT + APART;
        int rows = even(queries, causal ? CAUSAL_KEYS : Math.clamp(BLOCK_SCORES / rowFloats, LEAST_ROWS, MOST_ROWS), 1);
        Plan plan = new Plan(rows, Math.ceilDiv(queries, rows), chunkKeys, Math.ceilDiv(keys, chunkKeys), channels,
                Math.ceilDiv(heads.headDim(), channels), rowFloats, 0, 0);
        return prepare(heads, plan);
    }

    /** The size of parts, at most about {@code most}, that {@code count} falls into evenly. */
    private static int even(int count, int most, int multiple) {
        return Math.min(count, Math.ceilDiv(Math.ceilDiv(count, Math.ceilDiv(count, most)), multiple) * multiple);
    }

    /** The plan with the sizes of what is packed, once its programs are made for one seat; null if some cannot be. */
    private Plan prepare(AttentionHeads heads, Plan plan) {
        OneDnnLibrary.setThreads(1);
        OneDnnPrograms programs = seats.element().programs;
        int[] ofKeys = {plan.chunkKeys, heads.keys() - (plan.chunks - 1) * plan.chunkKeys};
        int[] ofRows = {plan.rows, heads.queries() - (plan.blocks - 1) * plan.rows};
        long keyBytes = 0;
        long valueBytes = 0;
        for (int keys : ofKeys) {
            for (int piece : new int[] {0, plan.pieces - 1}) {
                OneDnnProgram packing = programs.get(keyPacking(heads, plan, keys, piece));
                if (packing == null) {
                    return null;
                }
                keyBytes = Math.max(keyBytes, packing.bytes(1));
            }
            OneDnnProgram packing = programs.get(valuePacking(heads, plan, keys));
            if (packing == null) {
                return null;
            }
            valueBytes = Math.max(valueBytes, packing.bytes(1));
            for (int rows : ofRows) {
                boolean made = programs.get(weighted(heads, plan, rows, keys, 0)) != null
                        && (plan.chunks == 1 || programs.get(weighted(heads, plan, rows, keys, 1)) != null);
                for (int piece = 0; piece < plan.pieces; piece++) {
                    made &= programs.get(scores(heads, plan, rows, keys, piece)) != null;
                }
                if (!made) {
                    return null;
                }
            }
        }
        return new Plan(plan.rows, plan.blocks, plan.chunkKeys, plan.chunks, plan.pieceChannels, plan.pieces, plan.rowFloats,
                floats(keyBytes), floats(valueBytes));
    }

    private static long floats(long bytes) {
        return Math.ceilDiv(bytes, ALIGNMENT * Float.BYTES) * ALIGNMENT;
    }

    /** Over one piece of the channels; pieces after the first are added. */
    private static OneDnnProduct scores(AttentionHeads heads, Plan plan, int rows, int keys, int piece) {
        return OneDnnProduct.packed(plan.rows, rows, Math.min(plan.pieceChannels, heads.headDim() - piece * plan.pieceChannels), keys,
                heads.q().stride(1), plan.rowFloats, piece > 0);
    }

    /** Of one chunk of keys; chunks after the first are added. */
    private static OneDnnProduct weighted(AttentionHeads heads, Plan plan, int rows, int keys, int chunk) {
        return OneDnnProduct.packed(plan.rows, rows, keys, heads.headDim(), plan.rowFloats, heads.out().stride(1), chunk > 0);
    }

    private static OneDnnPacking keyPacking(AttentionHeads heads, Plan plan, int keys, int piece) {
        return new OneDnnPacking(scores(heads, plan, plan.rows, keys, piece), 1, heads.k().stride(1));
    }

    private static OneDnnPacking valuePacking(AttentionHeads heads, Plan plan, int keys) {
        return new OneDnnPacking(weighted(heads, plan, plan.rows, keys, 0), heads.v().stride(1), 1);
    }

    /**
     * @param plan of these operands
     * @param packed scratch, as the plan asks for
     * @param scores scratch, likewise
     */
    void run(Workers workers, AttentionHeads heads, Plan plan, Tensor packed, Tensor scores) {
        workers.run(heads.batches() * heads.kvHeads() * plan.chunks, (index, _) -> seated(seat -> {
            int pair = index / plan.chunks;
            int batch = pair / heads.kvHeads();
            int head = pair % heads.kvHeads();
            int first = index % plan.chunks * plan.chunkKeys;
            int keys = Math.min(plan.chunkKeys, heads.keys() - first);
            MemorySegment to = HostRows.segment(packed);
            MemorySegment from = heads.from(heads.k(), batch, first, head);
            for (int piece = 0; piece < plan.pieces; piece++) {
                seat.programs.run(seat.programs.get(keyPacking(heads, plan, keys, piece)),
                        from.asSlice((long) piece * plan.pieceChannels * Float.BYTES), to.asSlice(plan.byteOffset(index, piece)));
            }
            seat.programs.run(seat.programs.get(valuePacking(heads, plan, keys)), heads.from(heads.v(), batch, first, head),
                    to.asSlice(plan.byteOffset(index, plan.pieces)));
        }));
        workers.run(heads.batches() * heads.heads() * plan.blocks, (index, scratch) -> seated(seat -> {
            int batch = index / plan.blocks / heads.heads();
            int head = index / plan.blocks % heads.heads();
            attend(heads, plan, batch, head, index % plan.blocks * plan.rows, seat, packed, scores, scratch);
        }));
    }

    private void seated(Consumer<Seat> task) {
        OneDnnLibrary.setThreads(1);
        Seat seat = seats.remove();
        try {
            task.accept(seat);
        } finally {
            seats.add(seat);
        }
    }

    private static void attend(AttentionHeads heads, Plan plan, int batch, int head, int from, Seat seat, Tensor packed, Tensor allScores,
            Scratch scratch) {
        int rows = Math.min(plan.rows, heads.queries() - from);
        int visible = heads.visible(batch, from + rows - 1);
        int chunks = Math.ceilDiv(visible, plan.chunkKeys);
        int end = Math.min(heads.keys(), chunks * plan.chunkKeys);
        int firstChunk = (batch * heads.kvHeads() + heads.kvHead(head)) * plan.chunks;
        MemorySegment factors = HostRows.segment(packed);
        MemorySegment scores = HostRows.segment(allScores).asSlice((long) seat.index * plan.rows * plan.rowFloats * Float.BYTES);
        MemorySegment query = heads.from(heads.q(), batch, from, head);
        for (int chunk = 0; chunk < chunks; chunk++) {
            int keys = Math.min(plan.chunkKeys, end - chunk * plan.chunkKeys);
            for (int piece = 0; piece < plan.pieces; piece++) {
                seat.programs.run(seat.programs.get(scores(heads, plan, rows, keys, piece)),
                        query.asSlice((long) piece * plan.pieceChannels * Float.BYTES),
                        factors.asSlice(plan.byteOffset(firstChunk + chunk, piece)),
                        scores.asSlice((long) chunk * plan.chunkKeys * Float.BYTES));
            }
        }
        float[] totals = scratch.floats(TOTAL_SLOT, rows);
        float[] lanes = scratch.floats(LANE_SLOT, COUNT);
        float scale = Softmax.scale(heads.headDim());
        for (int row = 0; row < rows; row++) {
            totals[row] = Softmax.powers(scores, (long) row * plan.rowFloats * Float.BYTES, heads.visible(batch, from + row), end, scale,
                    lanes);
        }
        MemorySegment out = heads.from(heads.out(), batch, from, head);
        for (int chunk = 0; chunk < chunks; chunk++) {
            int keys = Math.min(plan.chunkKeys, end - chunk * plan.chunkKeys);
            seat.programs.run(seat.programs.get(weighted(heads, plan, rows, keys, chunk)),
                    scores.asSlice((long) chunk * plan.chunkKeys * Float.BYTES),
                    factors.asSlice(plan.byteOffset(firstChunk + chunk, plan.pieces)), out);
        }
        for (int row = 0; row < rows; row++) {
            long at = row * heads.out().stride(1) * Float.BYTES;
            if (chunks == 0) {
                out.asSlice(at, (long) heads.headDim() * Float.BYTES).fill((byte) 0);
            } else {
                divide(out, at, heads.headDim(), totals[row]);
            }
        }
    }

    private static void divide(MemorySegment values, long from, int count, float total) {
        int whole = count / COUNT * COUNT;
        for (int i = 0; i < whole; i += COUNT) {
            long at = from + (long) i * Float.BYTES;
            Lanes.store(Lanes.load(values, at).div(total), values, at);
        }
        for (int i = whole; i < count; i++) {
            long at = from + (long) i * Float.BYTES;
            values.set(Lanes.FLOAT, at, values.get(Lanes.FLOAT, at) / total);
        }
    }

    @Override
    public void close() {
        seats.forEach(seat -> seat.programs.close());
    }
}
