package dev.kleinscope.pipeline.dump;

import dev.kleinscope.ops.HostBuffer;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.SafetensorsWriter;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;

/**
 * Activations on their way to the disk. Of two buffers, the backend fills one while a thread of this spool writes the other; whoever
 * computes waits only when both are full.
 */
final class Spool implements AutoCloseable {

    private static final long WRITE_BYTES = 4L << 20;
    private static final int CONVERT_ELEMENTS = 1 << 16;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Rows of a tensor in a buffer. */
    private record Piece(String name, DType dtype, DType stored, MemorySegment bytes) {
    }

    private static final class Half {

        private final HostBuffer buffer;
        private final List<Piece> pieces = new ArrayList<>();
        private long used;

        Half(HostBuffer buffer) {
            this.buffer = buffer;
        }

        MemorySegment take(long bytes) {
            MemorySegment taken = buffer == null ? null : buffer.segment().asSlice(used, bytes);
            used += bytes;
            return taken;
        }

        long left() {
            return buffer.segment().byteSize() - used;
        }
    }

    private static final Half END = new Half(null);

    private final Ops ops;
    private final SafetensorsWriter writer;
    private final List<HostBuffer> buffers = new ArrayList<>();
    private final BlockingQueue<Half> free = new ArrayBlockingQueue<>(2);
    private final BlockingQueue<Half> full = new ArrayBlockingQueue<>(3);
    private final Thread thread;
    private volatile Throwable failure;
    private volatile boolean abandoned;
    private volatile long writingNanos;
    private long waitedNanos;
    private Half filling;
    private boolean ended;

    /**
     * @param ops whose activations are written
     * @param writer used by this spool's thread until {@link #finish} returns
     * @param halfBytes of each of the two buffers; at least one row of the widest tensor
     */
    Spool(Ops ops, SafetensorsWriter writer, long halfBytes) {
        this.ops = ops;
        this.writer = writer;
        try {
            for (int i = 0; i < 2; i++) {
                buffers.add(ops.hostBuffer(halfBytes));
                free.add(new Half(buffers.getLast()));
            }
        } catch (RuntimeException | Error e) {
            buffers.forEach(HostBuffer::close);
            throw e;
        }
        thread = Thread.ofPlatform().daemon().name("dump writer").start(this::write);
    }

    /**
     * Queues a copy of an activation; waits while both buffers are full.
     *
     * @param stored type in the file: the tensor's own, or its nearest values in another
     */
    void put(Tensor x, DType stored) {
        if (x.shape().rank() < 3) {
            rows(x, 0, x.name(), stored);
            return;
        }
        for (long batch = 0; batch < x.dim(0); batch++) {
            rows(x.slice(0, batch, batch + 1), 1, x.name(), stored);
        }
    }

    /** Queues values of the host. */
    void put(String name, float[] values, DType stored) {
        rows(Tensor.of(name, DType.F32, Shape.of(values.length), new HostStorage(MemorySegment.ofArray(values))), 0, name, stored);
    }

    /** Along a dimension, as many indices at a time as the buffer still holds. */
    private void rows(Tensor x, int dimension, String name, DType stored) {
        long each = x.dtype().bytes(x.shape().elements()) / Math.max(1, x.dim(dimension));
        for (long from = 0; from < x.dim(dimension);) {
            Half half = half(each);
            long to = Math.min(x.dim(dimension), from + half.left() / each);
            MemorySegment target = half.take((to - from) * each);
            Tensor part = x.slice(dimension, from, to);
            if (part.storage() instanceof HostStorage host && host.segment().heapBase().isPresent()) {
                MemorySegment.copy(host.segment(), x.dtype().bytes(part.offset()), target, 0, target.byteSize());
            } else {
                ops.download(part, target);
            }
            half.pieces.add(new Piece(name, x.dtype(), stored, target));
            from = to;
        }
    }

    /** A buffer with room for so many bytes. */
    private Half half(long bytes) {
        if (filling != null && filling.left() < bytes) {
            handOver();
        }
        if (filling == null) {
            long before = System.nanoTime();
            try {
                filling = free.take();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new RunInterruptedException("interrupted while an activation waited for the disk");
            }
            waitedNanos += System.nanoTime() - before;
            check();
        }
        return filling;
    }

    private void handOver() {
        ops.finish();
        full.add(filling);
        filling = null;
    }

    private void check() {
        switch (failure) {
            case null -> { }
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case Throwable e -> throw new IllegalStateException(e);
        }
    }

    /** Waits until all is written. The writer then belongs to the caller again. */
    void finish() {
        if (filling != null) {
            handOver();
        }
        end();
        check();
    }

    /** Seconds that the computation stood still because the disk was behind. */
    double waitedSeconds() {
        return waitedNanos / 1e9;
    }

    /** Seconds spent in writing. */
    double writingSeconds() {
        return writingNanos / 1e9;
    }

    private void end() {
        if (ended) {
            return;
        }
        ended = true;
        full.add(END);
        boolean interrupted = false;
        while (true) {
            try {
                thread.join();
                break;
            } catch (InterruptedException _) {
                interrupted = true;
                abandoned = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
            throw new RunInterruptedException("interrupted while the disk caught up");
        }
    }

    /** The thread's work. After a failure it takes what comes, so that nobody waits for it in vain. */
    private void write() {
        try {
            for (Half half = full.take(); half != END; half = full.take()) {
                if (failure == null) {
                    try {
                        long before = System.nanoTime();
                        half.pieces.forEach(this::write);
                        writingNanos += System.nanoTime() - before;
                    } catch (RuntimeException | Error e) {
                        failure = e;
                    }
                }
                half.pieces.clear();
                half.used = 0;
                free.add(half);
            }
        } catch (InterruptedException e) {
            failure = e;
        }
    }

    private void write(Piece piece) {
        MemorySegment bytes = piece.bytes();
        if (piece.dtype() != piece.stored()) {
            convert(piece);
            return;
        }
        for (long at = 0; at < bytes.byteSize() && !abandoned; at += WRITE_BYTES) {
            writer.write(piece.name(), bytes.asSlice(at, Math.min(WRITE_BYTES, bytes.byteSize() - at)));
        }
    }

    private void convert(Piece piece) {
        HostStorage from = new HostStorage(piece.bytes());
        long elements = piece.bytes().byteSize() * 8 / piece.dtype().bits();
        float[] values = new float[(int) Math.min(CONVERT_ELEMENTS, elements)];
        MemorySegment to = MemorySegment.ofArray(new byte[(int) piece.stored().bytes(values.length)]);
        for (long at = 0; at < elements && !abandoned; at += values.length) {
            int count = (int) Math.min(values.length, elements - at);
            from.read(piece.dtype(), at, count, values, 0);
            for (int i = 0; i < count; i++) {
                if (piece.stored() == DType.BF16) {
                    to.set(SHORT, 2L * i, BFloat16.fromFloat(values[i]));
                } else {
                    to.set(FLOAT, 4L * i, values[i]);
                }
            }
            writer.write(piece.name(), to.asSlice(0, piece.stored().bytes(count)));
        }
    }

    /** Ends the thread, whatever is still to be written, and frees the buffers. */
    @Override
    public void close() {
        abandoned = true;
        try {
            end();
        } finally {
            buffers.forEach(HostBuffer::close);
            buffers.clear();
        }
    }
}
