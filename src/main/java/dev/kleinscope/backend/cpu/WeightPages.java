package dev.kleinscope.backend.cpu;

import dev.kleinscope.bindings.linux.Pages;
import dev.kleinscope.ops.HostFrames;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.MemoryShortageException;
import dev.kleinscope.ops.WeightGroup;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * What weights take of this process's memory. They are used where they are mapped, and a model's pages are released when it has done
 * its work. Within a budget, the pages of a model that does not fit are released behind use, so that those which a forward uses
 * first stay and the others pass through: in a scan that repeats, to keep what was used last would keep nothing.
 *
 * <p>The weight after the one in use is read ahead. Used by one thread at a time.
 */
final class WeightPages implements AutoCloseable {

    /** Pages around a weight that come with it, and what else moves between two looks at the process's size. */
    private static final long MARGIN_BYTES = 32L << 20;
    /** Smaller weights, norms above all, come and go with their neighbours' pages. */
    private static final long LEAST_BYTES = 64 << 10;

    private final Workers workers;
    private final HostFrames frames;
    private final Residency residency;
    private final CpuMemory memory;
    private final Residency.Sizes atStart;
    private final TreeMap<Long, MappedPiece> pieces = new TreeMap<>();
    private final ArrayDeque<MappedPiece> resident = new ArrayDeque<>();
    private final List<Group> groups = new ArrayList<>();
    private ExecutorService readers;
    private Group loading;
    private WeightGroup active;
    private long residentBytes;
    private long otherFileBytes;
    private long bytes;

    /** @throws MemoryShortageException if a budget is set where the system does not tell the process's size */
    WeightPages(Workers workers, HostFrames frames, Residency residency, CpuMemory memory) {
        this.workers = workers;
        this.frames = frames;
        this.residency = residency;
        this.memory = memory;
        atStart = memory.bounded() ? residency.now() : null;
    }

    /** Bytes of all weights that models were made with. */
    long bytes() {
        return bytes;
    }

    /** Makes a model; the weights that it asks for meanwhile are its group's. */
    WeightGroup load(String name, long mostElements, Runnable load) {
        if (memory.bounded()) {
            otherFileBytes = Math.max(atStart.fileBytes(), residency.now().fileBytes() - residentBytes);
        }
        Group group = new Group(name, memory.copyWeights() ? new WeightCopies(name, mostElements) : null);
        loading = group;
        boolean loaded = false;
        try {
            load.run();
            group.loaded();
            loaded = true;
        } finally {
            loading = null;
            if (!loaded) {
                group.close();
            }
        }
        groups.add(group);
        return group;
    }

    /** A weight where it is computed with: in the file, or in its copy. */
    Tensor weight(Tensor mapped) {
        MemorySegment segment = HostRows.segment(mapped);
        if (loading == null || !segment.isMapped() || !mapped.contiguous()) {
            return mapped;
        }
        MemorySegment own = segment.asSlice(mapped.dtype().bytes(mapped.offset()), mapped.dtype().bytes(mapped.shape().elements()));
        bytes += own.byteSize();
        if (loading.copies != null) {
            return loading.copies.add(mapped, own);
        }
        loading.add(own);
        return mapped;
    }

    /** Takes the pages of a weight whose values were converted, and which is not looked at again. */
    void converted(Tensor mapped) {
        MemorySegment segment = HostRows.segment(mapped);
        if (loading != null && segment.isMapped()) {
            MemorySegment own = segment.asSlice(mapped.dtype().bytes(mapped.offset()), mapped.dtype().bytes(mapped.shape().elements()));
            bytes += own.byteSize();
            own.unload();
        }
    }

    /** Tells that a layer is about to be computed. @throws MemoryShortageException if it cannot be within the budget */
    void use(Linear layer) {
        use(List.of(layer));
    }

    /** Tells that layers are about to be computed together. @throws MemoryShortageException if they cannot be within the budget */
    void use(List<Linear> layers) {
        if (pieces.isEmpty()) {
            return;
        }
        List<MappedPiece> used = new ArrayList<>(layers.size());
        for (Linear layer : layers) {
            MappedPiece piece = piece(layer.weight());
            if (piece != null) {
                used.add(piece);
            }
        }
        if (used.isEmpty()) {
            return;
        }
        activate(used.getFirst());
        if (memory.bounded()) {
            makeRoom(used);
        }
        for (MappedPiece piece : used) {
            if (!piece.resident()) {
                piece.enter();
                resident.add(piece);
                residentBytes += piece.size();
            }
        }
        MappedPiece next = used.getLast().next();
        if (next != null && next.announce() && Pages.available()) {
            readers().execute(() -> Pages.willNeed(next.address(), next.size()));
        }
    }

    private MappedPiece piece(Tensor weight) {
        long address = HostRows.segment(weight).address() + weight.dtype().bytes(weight.offset());
        var entry = pieces.floorEntry(address);
        return entry == null || address >= entry.getKey() + entry.getValue().size() ? null : entry.getValue();
    }

    /** What other models said they can spare goes when this one's work begins. */
    private void activate(MappedPiece piece) {
        if (active != piece.owner()) {
            active = piece.owner();
            groups.stream().filter(group -> group != active && group.spare).forEach(Group::rest);
        }
    }

    private void makeRoom(List<MappedPiece> used) {
        long wanted = used.stream().mapToLong(MappedPiece::size).sum();
        long others = residentBytes - used.stream().filter(MappedPiece::resident).mapToLong(MappedPiece::size).sum();
        long allowed = memory.budgetBytes() - besideWeights();
        Iterator<MappedPiece> latest = resident.descendingIterator();
        while (others + wanted > allowed && latest.hasNext()) {
            MappedPiece piece = latest.next();
            if (!used.contains(piece)) {
                latest.remove();
                others -= piece.size();
                leave(piece);
            }
        }
        if (others + wanted > allowed) {
            throw shortage(besideWeights() + wanted, "weights that are used at once take " + gibibytes(wanted) + " beside "
                    + gibibytes(besideWeights()) + " for all else");
        }
    }

    private long besideWeights() {
        return residency.now().anonymousBytes() + otherFileBytes + MARGIN_BYTES;
    }

    private void leave(MappedPiece piece) {
        residentBytes -= piece.size();
        piece.release();
    }

    /** Memory that activations can take within the budget; {@link Long#MAX_VALUE} where there is none. */
    long freeBytes() {
        return memory.bounded() ? Math.max(0, memory.budgetBytes() - besideWeights()) : Long.MAX_VALUE;
    }

    /** @throws MemoryShortageException if so many bytes of activations more than there are cannot be within the budget */
    void admit(long activationBytes) {
        if (memory.bounded()) {
            long needed = atStart.anonymousBytes() + atStart.fileBytes() + MARGIN_BYTES + frames.bytesInUse() + activationBytes;
            if (needed > memory.budgetBytes()) {
                throw shortage(needed, "activations take " + gibibytes(frames.bytesInUse() + activationBytes) + " and more beside "
                        + gibibytes(atStart.anonymousBytes() + atStart.fileBytes() + MARGIN_BYTES) + " for Java and its libraries");
            }
        }
    }

    private MemoryShortageException shortage(long needed, String why) {
        return new MemoryShortageException("the memory budget of " + gibibytes(memory.budgetBytes()) + " does not suffice: " + why
                + "; allow at least " + gibibytes(needed) + ", or choose a smaller --size");
    }

    static String gibibytes(long size) {
        // up, so that what a message asks for suffices
        return String.format(Locale.ROOT, "%.2f GiB", Math.ceil(size / (double) (1L << 30) * 100) / 100);
    }

    private ExecutorService readers() {
        if (readers == null) {
            readers = Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("kleinscope-read-ahead").factory());
        }
        return readers;
    }

    @Override
    public void close() {
        if (readers != null) {
            readers.shutdownNow();
        }
        List.copyOf(groups).forEach(Group::close);
    }

    private final class Group implements WeightGroup {

        private final String name;
        private final WeightCopies copies;
        private final List<MappedPiece> pieces = new ArrayList<>();
        private final List<MemorySegment> small = new ArrayList<>();
        private boolean spare;
        private boolean closed;

        Group(String name, WeightCopies copies) {
            this.name = name;
            this.copies = copies;
        }

        void add(MemorySegment own) {
            if (own.byteSize() < LEAST_BYTES) {
                small.add(own);
            } else {
                MappedPiece piece = new MappedPiece(this, own);
                if (!pieces.isEmpty()) {
                    pieces.getLast().followedBy(piece);
                }
                pieces.add(piece);
                WeightPages.this.pieces.put(piece.address(), piece);
            }
        }

        void loaded() {
            if (copies == null) {
                return;
            }
            long free = FreeMemory.bytes();
            if (copies.bytes() > free) {
                groups.stream().filter(group -> group.spare).toList().forEach(Group::close);
                free = FreeMemory.bytes();
            }
            if (copies.bytes() > free) {
                throw new MemoryShortageException("copying the weights of " + name + " takes " + gibibytes(copies.bytes()) + ", but "
                        + gibibytes(free) + " are free; leave out --copy-weights, or end what else takes memory");
            }
            if (memory.bounded() && besideWeights() + copies.bytes() > memory.budgetBytes()) {
                throw shortage(besideWeights() + copies.bytes(), "the copied weights of " + name + " take " + gibibytes(copies.bytes())
                        + " beside " + gibibytes(besideWeights()) + " for all else");
            }
            copies.copy(workers, memory.progress());
        }

        @Override
        public boolean hold() {
            spare = false;
            return copies == null || !closed;
        }

        @Override
        public void spare() {
            spare = true;
        }

        @Override
        public void pause() {
            if (memory.bounded()) {
                rest();
            }
        }

        @Override
        public void rest() {
            for (MappedPiece piece : pieces) {
                if (piece.resident()) {
                    resident.remove(piece);
                    residentBytes -= piece.size();
                }
                piece.release();
            }
            small.stream().filter(own -> own.scope().isAlive()).forEach(MemorySegment::unload);
            trim();
        }

        /** What activations took goes too. */
        private void trim() {
            if (Pages.available()) {
                frames.unused(Pages::discard);
            }
        }

        @Override
        public void reserve(String what, long activationBytes) {
            if (!memory.bounded()) {
                return;
            }
            trim();
            long largest = pieces.stream().mapToLong(MappedPiece::size).max().orElse(0);
            long others = besideWeights();
            if (others + activationBytes + largest > memory.budgetBytes()) {
                throw shortage(others + activationBytes + largest, what + " takes " + gibibytes(activationBytes) + " of activations and "
                        + gibibytes(largest) + " for one weight at a time beside " + gibibytes(others) + " for all else");
            }
        }

        @Override
        public void close() {
            if (copies == null) {
                rest();
                return;
            }
            closed = true;
            spare = false;
            groups.remove(this);
            copies.close();
            trim();
        }
    }
}
