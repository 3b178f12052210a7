package dev.kleinscope.pipeline;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.HostBuffer;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * Sums over activations, computed where those are: queued while a forward runs, read together when it has ended, into buffers that
 * serve the next forward again.
 */
public final class Readings implements AutoCloseable {

    private static final long BUFFER_BYTES = 1L << 22;

    /** Rows of sums, which are there after {@link Readings#finish} and gone after {@link Readings#reuse}. */
    public static final class Reading {

        private final MemorySegment segment;
        private final int columns;

        private Reading(MemorySegment segment, int columns) {
            this.segment = segment;
            this.columns = columns;
        }

        public int rows() {
            return (int) (segment.byteSize() / Float.BYTES / columns);
        }

        public int columns() {
            return columns;
        }

        /** All of them, row after row; a copy. */
        public float[] values() {
            return segment.toArray(ValueLayout.JAVA_FLOAT);
        }

        public float at(int row, int column) {
            return segment.getAtIndex(ValueLayout.JAVA_FLOAT, (long) row * columns + column);
        }
    }

    private final Ops ops;
    private final List<HostBuffer> buffers = new ArrayList<>();
    private int buffer;
    private long used;

    /** @param ops what the model runs on */
    Readings(Ops ops) {
        this.ops = ops;
    }

    /** {@link Ops#rowMoments}: a row for each of x's. */
    public Reading rowMoments(Tensor x, Tensor before) {
        try (Frame _ = ops.frame()) {
            return take(ops.rowMoments(x, before));
        }
    }

    /** {@link Ops#channelEnergies}: a row for each range. */
    public Reading channelEnergies(Tensor x, int[] bounds) {
        try (Frame _ = ops.frame()) {
            return take(ops.channelEnergies(x, bounds));
        }
    }

    /** {@link Ops#attentionShares}: a row for each query of each head. */
    public Reading attentionShares(Tensor q, Tensor k, long heads, int[] groups, int count) {
        try (Frame _ = ops.frame()) {
            return take(ops.attentionShares(q, k, heads, groups, count));
        }
    }

    private Reading take(Tensor result) {
        long bytes = DType.F32.bytes(result.shape().elements());
        while (buffer < buffers.size() && buffers.get(buffer).segment().byteSize() - used < bytes) {
            buffer++;
            used = 0;
        }
        if (buffer == buffers.size()) {
            buffers.add(ops.hostBuffer(Math.max(BUFFER_BYTES, bytes)));
        }
        MemorySegment target = buffers.get(buffer).segment().asSlice(used, bytes);
        ops.download(result, target);
        used += bytes;
        return new Reading(target, Math.toIntExact(result.dim(-1)));
    }

    /** Waits for all that was queued. */
    public void finish() {
        ops.finish();
    }

    /** Gives the buffers to the next forward; what was read before is gone. */
    public void reuse() {
        buffer = 0;
        used = 0;
    }

    @Override
    public void close() {
        buffers.forEach(HostBuffer::close);
        buffers.clear();
    }
}
