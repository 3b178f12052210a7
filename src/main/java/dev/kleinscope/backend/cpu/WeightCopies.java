package dev.kleinscope.backend.cpu;

import dev.kleinscope.bindings.linux.Pages;
import dev.kleinscope.ops.MemoryShortageException;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** A model's weights in memory of the process's own, in huge pages where the kernel has them, which no pressure on cached files takes away. */
final class WeightCopies implements AutoCloseable {

    private static final long ALIGNMENT_BYTES = 4096;
    private static final long MOST_BYTES_PER_ELEMENT = 8;
    /** Rounding up to the alignment takes no more; nothing is taken that is not written to. */
    private static final long SPARE_BYTES = 1L << 30;
    private static final long PART_BYTES = 16L << 20;
    /** Copied before its source's pages are released and progress is told. */
    private static final int PARTS_AT_ONCE = 16;

    private record Part(MemorySegment from, MemorySegment to) {
    }

    private final String name;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private final List<Part> parts = new ArrayList<>();
    private final List<HostStorage> storages = new ArrayList<>();
    private long end;
    private long bytes;

    /**
     * @param name of the model
     * @param mostElements how many numbers its weights are at most
     * @throws MemoryShortageException if there is not as much address space, or this system has no such memory
     */
    WeightCopies(String name, long mostElements) {
        this.name = name;
        memory = Pages.available() ? Pages.reserve(mostElements * MOST_BYTES_PER_ELEMENT + SPARE_BYTES, arena) : null;
        if (memory == null) {
            arena.close();
            throw new MemoryShortageException("the weights of " + name + " cannot be copied: "
                    + (Pages.available() ? "the system refuses the address space (ulimit -v, or strict overcommit)" : "this needs Linux on x86-64")
                    + "; leave out --copy-weights");
        }
    }

    /** Bytes of the weights. */
    long bytes() {
        return bytes;
    }

    /** Makes room for a weight; its values come with {@link #copy}. @param from its bytes, contiguous */
    Tensor add(Tensor mapped, MemorySegment from) {
        MemorySegment to = memory.asSlice(end, from.byteSize());
        end = Math.ceilDiv(end + from.byteSize(), ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
        bytes += from.byteSize();
        for (long at = 0; at < from.byteSize(); at += PART_BYTES) {
            long size = Math.min(PART_BYTES, from.byteSize() - at);
            parts.add(new Part(from.asSlice(at, size), to.asSlice(at, size)));
        }
        HostStorage storage = new HostStorage(to);
        storages.add(storage);
        return Tensor.of(mapped.name(), mapped.dtype(), mapped.shape(), storage);
    }

    /** Copies all values, and releases the file's pages behind itself. */
    void copy(Workers workers, CpuMemory.CopyProgress progress) {
        long done = 0;
        for (int first = 0; first < parts.size(); first += PARTS_AT_ONCE) {
            List<Part> batch = parts.subList(first, Math.min(parts.size(), first + PARTS_AT_ONCE));
            workers.run(batch.size(), (index, _) -> {
                Part part = batch.get(index);
                MemorySegment.copy(part.from(), 0, part.to(), 0, part.from().byteSize());
            });
            for (Part part : batch) {
                part.from().unload();
                done += part.from().byteSize();
            }
            progress.copied(name, done, bytes);
        }
        parts.clear();
    }

    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            storages.forEach(storage -> storage.free("the end of " + name));
            arena.close();
        }
    }
}
