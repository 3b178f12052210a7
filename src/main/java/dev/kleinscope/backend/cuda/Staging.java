package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/** Copies between host and device through pinned buffers: one fills while those before it travel. */
final class Staging implements AutoCloseable {

    private static final long BUFFER_BYTES = 16L << 20;
    /** Elements that a core converts at a time. */
    private static final int PIECE = 1 << 17;
    private static final int BUFFERS = 4;
    /** More gain nothing: four bring 13 GB/s of cached pages to an H100, eight 11. */
    private static final int MOST_THREADS = 4;

    private final Cuda cuda;
    private final ParallelCopy copies;
    private final MemorySegment[] buffers = new MemorySegment[BUFFERS];
    private final MemorySegment[] travelled = new MemorySegment[BUFFERS];
    private int next;

    Staging(Cuda cuda) {
        this(cuda, Math.min(MOST_THREADS, Runtime.getRuntime().availableProcessors()));
    }

    /** @param threads that fill a buffer, the caller's among them */
    Staging(Cuda cuda, int threads) {
        this.cuda = cuda;
        copies = new ParallelCopy(threads);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            for (int i = 0; i < BUFFERS; i++) {
                Cuda.driver(CudaDriver.cuMemHostAlloc(pointer, BUFFER_BYTES, 0), "cuMemHostAlloc", BUFFER_BYTES + " bytes");
                buffers[i] = pointer.get(ValueLayout.ADDRESS, 0).reinterpret(BUFFER_BYTES);
                Cuda.driver(CudaDriver.cuEventCreate(pointer, CudaDriver.CU_EVENT_DISABLE_TIMING()), "cuEventCreate");
                travelled[i] = pointer.get(ValueLayout.ADDRESS, 0);
            }
        }
    }

    /**
     * Queues a copy to the device.
     *
     * @param from may change when this returns; from two mebibytes on, of a shared arena or the heap
     * @throws InternalError if it is of a mapped file that shrank
     */
    void upload(MemorySegment from, long to) {
        cuda.requireOwner();
        cuda.requireDoing();
        for (long done = 0; done < from.byteSize(); done += BUFFER_BYTES) {
            long bytes = Math.min(BUFFER_BYTES, from.byteSize() - done);
            Cuda.driver(CudaDriver.cuEventSynchronize(travelled[next]), "cuEventSynchronize");
            copies.copy(from.asSlice(done, bytes), buffers[next]);
            Cuda.driver(CudaDriver.cuMemcpyHtoDAsync_v2(to + done, buffers[next], bytes, cuda.stream()), "cuMemcpyHtoDAsync",
                    bytes + " bytes");
            Cuda.driver(CudaDriver.cuEventRecord(travelled[next], cuda.stream()), "cuEventRecord");
            next = (next + 1) % BUFFERS;
        }
    }

    /** Waits for the device and reads elements as f32. @throws IllegalStateException while operations are recorded: there are no values yet */
    void read(long from, DType dtype, int count, float[] target, int targetOffset) {
        cuda.requireOwner();
        if (cuda.capturing()) {
            throw new IllegalStateException("values cannot be read while operations are recorded into a CUDA graph: to look at them, "
                    + "start with --debug (-Dkleinscope.cuda.graphs=false)");
        }
        cuda.requireDoing();
        MemorySegment buffer = buffers[next];
        Cuda.driver(CudaDriver.cuEventSynchronize(travelled[next]), "cuEventSynchronize");
        HostStorage host = new HostStorage(buffer);
        int most = (int) (BUFFER_BYTES * Byte.SIZE / dtype.bits());
        for (int done = 0; done < count; done += most) {
            int part = Math.min(most, count - done);
            Cuda.driver(CudaDriver.cuMemcpyDtoHAsync_v2(buffer, from + dtype.bytes(done), dtype.bytes(part), cuda.stream()),
                    "cuMemcpyDtoHAsync", part + " of " + dtype);
            cuda.synchronize();
            int to = targetOffset + done;
            // one core takes milliseconds for a large picture
            IntStream.range(0, Math.ceilDiv(part, PIECE)).parallel().forEach(piece -> host.read(dtype, (long) piece * PIECE,
                    Math.min(PIECE, part - piece * PIECE), target, to + piece * PIECE));
        }
    }

    @Override
    public void close() {
        copies.close();
        for (int i = 0; i < BUFFERS; i++) {
            Cuda.driver(CudaDriver.cuEventDestroy_v2(travelled[i]), "cuEventDestroy");
            Cuda.driver(CudaDriver.cuMemFreeHost(buffers[i]), "cuMemFreeHost");
        }
    }
}
