package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;

/**
 * Memory of the GPU: blocks that last, for weights, and a pool of blocks in size classes at most an eighth apart, so that the
 * second of two equal denoising steps allocates nothing.
 *
 * <p>All that computes is queued on one stream, so a block may serve again before the device has finished with its last use. Copies to
 * the host on another stream keep a block until they are done: see {@link #giveLater} and {@link Cuda#await}.
 */
final class DeviceMemory implements AutoCloseable {

    /** Device memory in use. */
    static final class Block {

        private final long address;
        private final long bytes;
        private final Pool pool;

        private Block(long address, long bytes, Pool pool) {
            this.address = address;
            this.bytes = bytes;
            this.pool = pool;
        }

        long address() {
            return address;
        }

        long bytes() {
            return bytes;
        }
    }

    /** Blocks that serve the same work again and again. */
    static final class Pool {

        private final Map<Long, ArrayDeque<Block>> free = new HashMap<>();
        private long bytes;
    }

    private static final long ALIGNMENT_BYTES = 512;

    private final Cuda cuda;
    private final Pool common = new Pool();
    private final List<BooleanSupplier> reliefs = new ArrayList<>();
    private final Map<Long, Long> kept = new LinkedHashMap<>();
    private final List<Block> later = new ArrayList<>();
    private Pool pool = common;
    private long laterBytes;
    private Set<Long> group;
    private String groupName;
    private long groupMostBytes;
    private long keptBytes;
    private long pooledBytes;

    DeviceMemory(Cuda cuda) {
        this.cuda = cuda;
    }

    /** What else may free memory when it is short, and tells whether it did; asked in the order given. */
    void relieveBy(BooleanSupplier other) {
        reliefs.add(other);
    }

    /** A block until this closes, or until its group is freed. */
    long keep(long bytes, String what) {
        long address = allocate(Math.max(1, bytes), what, true);
        kept.put(address, bytes);
        keptBytes += bytes;
        if (group != null) {
            group.add(address);
        }
        return address;
    }

    /** Blocks kept from here on belong to a group. @param mostBytes what they will take at most */
    void beginGroup(String name, long mostBytes) {
        if (group != null) {
            throw new IllegalStateException("the weights of " + name + " are loaded while those of " + groupName + " are");
        }
        group = new LinkedHashSet<>();
        groupName = name;
        groupMostBytes = mostBytes;
    }

    /** Ends it. @return the addresses of its blocks */
    Set<Long> endGroup() {
        Set<Long> ended = group;
        group = null;
        return ended;
    }

    /** Bytes of kept blocks. */
    long bytes(Set<Long> addresses) {
        return addresses.stream().mapToLong(kept::get).sum();
    }

    /** Returns kept blocks to the driver, once the device is done with them. */
    void free(Set<Long> addresses) {
        cuda.synchronize();
        for (long address : addresses) {
            Cuda.driver(CudaDriver.cuMemFree_v2(address), "cuMemFree");
            keptBytes -= kept.remove(address);
        }
    }

    /** A block until it is given back. */
    Block take(long bytes, String what) {
        long size = sizeClass(bytes);
        Block block = pool.free.computeIfAbsent(size, s -> new ArrayDeque<>()).poll();
        if (block == null) {
            block = new Block(allocate(size, what, false), size, pool);
            pool.bytes += size;
            pooledBytes += size;
        }
        return block;
    }

    /** Back to the pool that it was taken from. */
    void give(Block block) {
        block.pool.free.get(block.bytes).push(block);
    }

    /** Whether recorded work writes a block again without taking it anew. */
    boolean recorded(Block block) {
        return block.pool != common;
    }

    /** Back to its pool once copies of it are finished: at the next {@link #settle}. */
    void giveLater(Block block) {
        later.add(block);
        laterBytes += block.bytes;
    }

    /** Bytes that wait for {@link #settle}. */
    long laterBytes() {
        return laterBytes;
    }

    /** Copies to the host are finished. */
    void settle() {
        later.forEach(this::give);
        later.clear();
        laterBytes = 0;
    }

    /** From now on blocks are taken from {@code next}, or for null from the common pool. Returns what served until now. */
    Pool use(Pool next) {
        Pool before = pool;
        pool = next == null ? common : next;
        return before;
    }

    /** Bytes that a pool holds. */
    static long bytes(Pool pool) {
        return pool.bytes;
    }

    /** Returns a pool's memory to the driver; all its blocks must have been given back. */
    void free(Pool ended) {
        cuda.synchronize();
        for (ArrayDeque<Block> blocks : ended.free.values()) {
            for (Block block : blocks) {
                Cuda.driver(CudaDriver.cuMemFree_v2(block.address), "cuMemFree");
                ended.bytes -= block.bytes;
                pooledBytes -= block.bytes;
            }
            blocks.clear();
        }
    }

    /** Bytes that weights hold. */
    long keptBytes() {
        return keptBytes;
    }

    /** Bytes that the pool holds, in use or free. */
    long pooledBytes() {
        return pooledBytes;
    }

    /** Bytes that an allocation could still have: the driver's, and those of the pool that are not in use. */
    long freeBytes() {
        long idle = common.free.entrySet().stream().mapToLong(blocks -> blocks.getKey() * blocks.getValue().size()).sum();
        return cuda.memory()[0] + idle;
    }

    private long allocate(long bytes, String what, boolean lasting) {
        cuda.requireOwner();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.JAVA_LONG);
            int status = CudaDriver.cuMemAlloc_v2(pointer, bytes);
            // while operations are recorded, or rehearsed, nothing can be waited for, so nothing is freed
            if (status == CudaDriver.CUDA_ERROR_OUT_OF_MEMORY() && !cuda.capturing() && !cuda.rehearsing()) {
                trim();
                status = CudaDriver.cuMemAlloc_v2(pointer, bytes);
                for (BooleanSupplier relief : reliefs) {
                    if (status == CudaDriver.CUDA_ERROR_OUT_OF_MEMORY() && relief.getAsBoolean()) {
                        status = CudaDriver.cuMemAlloc_v2(pointer, bytes);
                    }
                }
            }
            if (status == CudaDriver.CUDA_ERROR_OUT_OF_MEMORY()) {
                throw new CudaUnavailableException(shortage(bytes, what, lasting));
            }
            Cuda.driver(status, "cuMemAlloc", bytes + " bytes for " + what);
            return pointer.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    private String shortage(long bytes, String what, boolean lasting) {
        long[] memory = cuda.memory();
        boolean loading = lasting && group != null;
        String needed = loading ? groupName + " needs up to " + size(groupMostBytes) : what + " needs " + size(bytes);
        return String.format(Locale.ROOT, "%s of memory on %s, of whose %s this run holds %s for weights and %s for activations, and %s "
                + "are free%s: end what else uses the GPU (nvidia-smi lists it), or choose %s--backend cpu", needed, cuda.name(),
                size(memory[1]), size(keptBytes), size(pooledBytes), size(memory[0]),
                loading ? ", too little for " + what + " of " + size(bytes) : "", lasting ? "" : "a smaller --size or ");
    }

    /** Returns the pool's free blocks to the driver. */
    void trim() {
        free(common);
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
        for (long address : kept.keySet()) {
            Cuda.driver(CudaDriver.cuMemFree_v2(address), "cuMemFree");
        }
        kept.clear();
        keptBytes = 0;
    }
}
