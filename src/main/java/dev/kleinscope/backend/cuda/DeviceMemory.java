package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Memory of the GPU: blocks that last, for weights, and a pool of blocks in size classes at most an eighth apart, so that the
 * second of two equal denoising steps allocates nothing.
 *
 * <p>All work is queued on one stream, so a block may serve again before the device has finished with its last use.
 */
final class DeviceMemory implements AutoCloseable {

    /** Device memory in use. */
    record Block(long address, long bytes) {
    }

    private static final long ALIGNMENT_BYTES = 512;

    private final Cuda cuda;
    private final Map<Long, ArrayDeque<Block>> pool = new HashMap<>();
    private final List<Long> kept = new ArrayList<>();
    private long keptBytes;
    private long pooledBytes;

    DeviceMemory(Cuda cuda) {
        this.cuda = cuda;
    }

    /** A block until this closes. */
    long keep(long bytes, String what) {
        long address = allocate(Math.max(1, bytes), what);
        kept.add(address);
        keptBytes += bytes;
        return address;
    }

    /** A block until it is given back. */
    Block take(long bytes, String what) {
        long size = sizeClass(bytes);
        Block block = pool.computeIfAbsent(size, s -> new ArrayDeque<>()).poll();
        if (block == null) {
            block = new Block(allocate(size, what), size);
            pooledBytes += size;
        }
        return block;
    }

    void give(Block block) {
        pool.get(block.bytes()).push(block);
    }

    /** Bytes that weights hold. */
    long keptBytes() {
        return keptBytes;
    }

    /** Bytes that the pool holds, in use or free. */
    long pooledBytes() {
        return pooledBytes;
    }

    /** Bytes of the pool that no one uses. */
    long idleBytes() {
        return pool.values().stream().flatMap(ArrayDeque::stream).mapToLong(Block::bytes).sum();
    }

    private long allocate(long bytes, String what) {
        cuda.requireOwner();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.JAVA_LONG);
            int status = CudaDriver.cuMemAlloc_v2(pointer, bytes);
            if (status == CudaDriver.CUDA_ERROR_OUT_OF_MEMORY()) {
                trim();
                status = CudaDriver.cuMemAlloc_v2(pointer, bytes);
            }
            if (status == CudaDriver.CUDA_ERROR_OUT_OF_MEMORY()) {
                long[] memory = cuda.memory();
                throw new CudaUnavailableException(String.format(Locale.ROOT, "%s needs %s on %s, which has %s of %s left; weights"
                        + " hold %s and activations %s: choose a smaller --size, --precision bf16 or --backend cpu", what,
                        size(bytes), cuda.name(), size(memory[0]), size(memory[1]), size(keptBytes), size(pooledBytes)));
            }
            Cuda.driver(status, "cuMemAlloc", bytes + " bytes for " + what);
            return pointer.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    /** Returns the pool's free blocks to the driver. */
    private void trim() {
        cuda.synchronize();
        for (ArrayDeque<Block> free : pool.values()) {
            for (Block block : free) {
                Cuda.driver(CudaDriver.cuMemFree_v2(block.address()), "cuMemFree");
                pooledBytes -= block.bytes();
            }
            free.clear();
        }
    }

    private static long sizeClass(long bytes) {
        long step = Math.max(ALIGNMENT_BYTES, Long.highestOneBit(bytes) / 8);
        return Math.max(step, Math.ceilDiv(bytes, step) * step);
    }

    private static String size(long bytes) {
        return bytes < 1L << 20 ? bytes + " bytes" : bytes < 1L << 30
                ? String.format(Locale.ROOT, "%.1f MiB", bytes / (double) (1L << 20))
                : String.format(Locale.ROOT, "%.1f GiB", bytes / (double) (1L << 30));
    }

    /** All blocks must have been given back. */
    @Override
    public void close() {
        trim();
        for (long address : kept) {
            Cuda.driver(CudaDriver.cuMemFree_v2(address), "cuMemFree");
        }
        kept.clear();
    }
}
