package dev.kleinscope.pipeline;

import dev.kleinscope.ops.HostBuffer;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Sums over activations, computed where those are: queued while a forward runs, read together when it has ended, into buffers that
 * serve the next forward again.
 */
public final class Readings implements AutoCloseable {

    private static final long BUFFER_BYTES = 1L << 22;
    private static final long ALIGNMENT_BYTES = 64;

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

        /** The sum of them all. */
        public double total() {
            long count = segment.byteSize() / Float.BYTES;
            long fours = count / 4 * 4;
            double a = 0;
            double b = 0;
            double c = 0;
            double d = 0;
            // additions in one row would wait for each other
            for (long i = 0; i < fours; i += 4) {
                a += segment.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                b += segment.getAtIndex(ValueLayout.JAVA_FLOAT, i + 1);
                c += segment.getAtIndex(ValueLayout.JAVA_FLOAT, i + 2);
                d += segment.getAtIndex(ValueLayout.JAVA_FLOAT, i + 3);
            }
            for (long i = fours; i < count; i++) {
                a += segment.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            }
            return (a + b) + (c + d);
        }

        public float at(int row, int column) {
            return segment.getAtIndex(ValueLayout.JAVA_FLOAT, (long) row * columns + column);
        }
    }

    private final Ops ops;
    private final Deque<Readings> spare;
    private final List<HostBuffer> buffers = new ArrayList<>();
    private int buffer;
    private long used;

    /**
     * @param ops what the model runs on
     * @param spare where those go that are closed: recorded forwards write to the same memory when it is taken up again
     */
    Readings(Ops ops, Deque<Readings> spare) {
        this.ops = ops;
        this.spare = spare;
    }

    /** {@link Ops#rowMoments}: a row for each of x's. */
    public Reading rowMoments(Tensor x, Tensor before) {
        Tensor sums = take(Shape.of(x.dim(0), x.dim(1), before == null ? 2 : 6));
        ops.rowMoments(x, before, sums);
        return last(sums);
    }

    /** {@link Ops#channelEnergies}: a row for each range. */
    public Reading channelEnergies(Tensor x, int[] bounds) {
        Tensor sums = take(Shape.of(x.dim(0), bounds.length / 2, x.dim(2)));
        ops.channelEnergies(x, bounds, sums);
        return last(sums);
    }

    /** Room for sums, the same in each forward that asks for the same. */
    private Tensor take(Shape shape) {
        long bytes = DType.F32.bytes(shape.elements());
        used = (used + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
        while (buffer < buffers.size() && buffers.get(buffer).segment().byteSize() - used < bytes) {
            buffer++;
            used = 0;
        }
        if (buffer == buffers.size()) {
            buffers.add(ops.hostBuffer(Math.max(BUFFER_BYTES, bytes)));
        }
        Tensor taken = buffers.get(buffer).tensor(used, shape);
        used += bytes;
        return taken;
    }

    /** What {@link #take} gave last, to be read. */
    private Reading last(Tensor sums) {
        long bytes = DType.F32.bytes(sums.shape().elements());
        return new Reading(buffers.get(buffer).segment().asSlice(used - bytes, bytes), Math.toIntExact(sums.dim(-1)));
    }

    /** Fetches all sums, and waits for what was queued. */
    public void finish() {
        for (int i = 0; i <= buffer && i < buffers.size(); i++) {
            HostBuffer each = buffers.get(i);
            long bytes = i == buffer ? used : each.segment().byteSize();
            if (bytes > 0) {
                each.fetch(bytes);
            }
        }
        ops.finish();
    }

    /** Gives the buffers to the next forward; what was read before is gone. */
    public void reuse() {
        buffer = 0;
        used = 0;
    }

    /** Leaves the buffers to who reads next. */
    @Override
    public void close() {
        reuse();
        if (!spare.contains(this)) {
            spare.push(this);
        }
    }

    /** Gives back the buffers. */
    void free() {
        buffers.forEach(HostBuffer::close);
        buffers.clear();
    }
}
