package dev.kleinscope.ops;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Downloads of the host backends: copies made at once. */
final class HostCopies {

    private static final long ALIGNMENT_BYTES = 64;

    private HostCopies() {
    }

    private record Buffer(Arena arena, MemorySegment segment) implements HostBuffer {

        @Override
        public Tensor tensor(long from, Shape shape) {
            return Tensor.of("host buffer", DType.F32, shape, new HostStorage(segment.asSlice(from, DType.F32.bytes(shape.elements()))));
        }

        /** There is one memory only. */
        @Override
        public void fetch(long bytes) {
            segment.asSlice(0, bytes);
        }

        @Override
        public void close() {
            arena.close();
        }
    }

    static HostBuffer buffer(long bytes) {
        Arena arena = Arena.ofShared();
        return new Buffer(arena, arena.allocate(Math.max(1, bytes), ALIGNMENT_BYTES));
    }

    static void copy(Tensor x, MemorySegment target) {
        OpShapes.download(x, target);
        MemorySegment from = HostRows.segment(x);
        long rowBytes = x.dtype().bytes(x.dim(-1));
        for (long row = 0; row < x.rows(); row++) {
            MemorySegment.copy(from, x.dtype().bytes(x.rowOffset(row)), target, row * rowBytes, rowBytes);
        }
    }
}
