package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import dev.kleinscope.ops.HostBuffer;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Copies to pinned memory of the host on a stream of their own, while the device goes on computing. */
final class Downloads implements AutoCloseable {

    private final Cuda cuda;
    private final DeviceMemory device;
    private final Staging staging;
    private final MemorySegment stream;
    private final List<MemorySegment> events = new ArrayList<>();
    private final Set<Pinned> buffers = new LinkedHashSet<>();
    private int used;

    Downloads(Cuda cuda, DeviceMemory device, Staging staging) {
        this.cuda = cuda;
        this.device = device;
        this.staging = staging;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            Cuda.driver(CudaDriver.cuStreamCreate(pointer, CudaDriver.CU_STREAM_NON_BLOCKING()), "cuStreamCreate");
            stream = pointer.get(ValueLayout.ADDRESS, 0);
        }
    }

    HostBuffer buffer(long bytes) {
        cuda.requireOwner();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            int status = CudaDriver.cuMemHostAlloc(pointer, Math.max(1, bytes), 0);
            if (status == CudaDriver.CUDA_ERROR_OUT_OF_MEMORY()) {
                throw new CudaUnavailableException(bytes + " bytes of the host's memory cannot be pinned: watch fewer points at a time");
            }
            Cuda.driver(status, "cuMemHostAlloc", bytes + " bytes");
            Pinned buffer = new Pinned(pointer.get(ValueLayout.ADDRESS, 0), bytes);
            buffers.add(buffer);
            return buffer;
        }
    }

    /** See {@link dev.kleinscope.ops.Ops#download}. */
    void queue(Tensor x, MemorySegment target) {
        cuda.requireOwner();
        cuda.requireDoing();
        View.address(x);
        CudaStorage storage = (CudaStorage) x.storage();
        MemorySegment computed = event();
        Cuda.driver(CudaDriver.cuEventRecord(computed, cuda.stream()), "cuEventRecord");
        Cuda.driver(CudaDriver.cuStreamWaitEvent(stream, computed, 0), "cuStreamWaitEvent");
        long rowBytes = x.dtype().bytes(x.dim(-1));
        long rows = x.rows();
        for (long row = 0; row < rows;) {
            long together = 1;
            while (row + together < rows && x.rowOffset(row + together) == x.rowOffset(row) + together * x.dim(-1)) {
                together++;
            }
            Cuda.driver(CudaDriver.cuMemcpyDtoHAsync_v2(target.asSlice(row * rowBytes, together * rowBytes),
                    storage.address() + x.dtype().bytes(x.rowOffset(row)), together * rowBytes, stream), "cuMemcpyDtoHAsync",
                    x.name() + x.shape());
            row += together;
        }
        MemorySegment copied = event();
        Cuda.driver(CudaDriver.cuEventRecord(copied, stream), "cuEventRecord");
        storage.readUntil(copied);
    }

    /** Waits for all copies. */
    void finish() {
        cuda.requireOwner();
        Cuda.driver(CudaDriver.cuStreamSynchronize(stream), "cuStreamSynchronize");
        used = 0;
    }

    /** An event of its own until the copies are finished; whoever waits for it later waits for a later copy, at worst. */
    private MemorySegment event() {
        if (used == events.size()) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
                Cuda.driver(CudaDriver.cuEventCreate(pointer, CudaDriver.CU_EVENT_DISABLE_TIMING()), "cuEventCreate");
                events.add(pointer.get(ValueLayout.ADDRESS, 0));
            }
        }
        return events.get(used++);
    }

    private final class Pinned implements HostBuffer {

        private final Arena arena = Arena.ofShared();
        private final MemorySegment pinned;
        private final MemorySegment memory;
        private long twin;

        Pinned(MemorySegment pinned, long bytes) {
            this.pinned = pinned;
            memory = pinned.reinterpret(bytes, arena, null);
        }

        @Override
        public MemorySegment segment() {
            return memory;
        }

        @Override
        public Tensor tensor(long from, Shape shape) {
            memory.asSlice(from, DType.F32.bytes(shape.elements()));
            if (twin == 0) {
                twin = device.keep(memory.byteSize(), "the sums of what is watched");
                // not on the stream that computes: what happens there may be recorded, and done again
                Cuda.driver(CudaDriver.cuMemsetD8Async(twin, (byte) 0, memory.byteSize(), stream), "cuMemsetD8Async");
                Cuda.driver(CudaDriver.cuStreamSynchronize(stream), "cuStreamSynchronize");
            }
            return Tensor.of("sums", DType.F32, shape, new CudaStorage(staging, cuda.device(), twin + from));
        }

        @Override
        public void fetch(long bytes) {
            queue(tensor(0, Shape.of(bytes / Float.BYTES)), memory.asSlice(0, bytes));
        }

        @Override
        public void close() {
            cuda.requireOwner();
            if (buffers.remove(this)) {
                finish();
                if (twin != 0) {
                    device.free(Set.of(twin));
                }
                arena.close();
                Cuda.driver(CudaDriver.cuMemFreeHost(pinned), "cuMemFreeHost");
            }
        }
    }

    @Override
    public void close() {
        new ArrayList<>(buffers).forEach(Pinned::close);
        finish();
        for (MemorySegment event : events) {
            Cuda.driver(CudaDriver.cuEventDestroy_v2(event), "cuEventDestroy");
        }
        events.clear();
        Cuda.driver(CudaDriver.cuStreamDestroy_v2(stream), "cuStreamDestroy");
    }
}
