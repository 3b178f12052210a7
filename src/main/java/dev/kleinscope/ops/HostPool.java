package dev.kleinscope.ops;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * Native memory that is used again and again, in blocks of any size.
 *
 * <p>A block is cut from the smallest free span that holds it, and joins its free neighbours when it is given back. Where none is large
 * enough, memory of the block's own size is taken from the system; as that would make more than an eighth over what was ever in use at
 * once, memory that is wholly free goes back to the system first. So equal steps soon take no new memory, and steps of different kinds
 * share what the larger of them needs. Used by one thread at a time.
 */
final class HostPool implements AutoCloseable {

    private static final long ALIGNMENT_BYTES = 64;
    /** Smaller blocks lie apart, where they do not cut large spans in two. */
    private static final long LARGE_BYTES = 1 << 20;

    private final TreeMap<Long, ArrayDeque<Span>> freeSmall = new TreeMap<>();
    private final TreeMap<Long, ArrayDeque<Span>> freeLarge = new TreeMap<>();
    private final Arena smallOwner = Arena.ofShared();
    private final List<Chunk> chunks = new ArrayList<>();
    private long bytesInUse;
    private long bytesHeld;
    private long peakBytes;

    /** Memory that the system gave at once. Large ones have an owner each. */
    private record Chunk(Arena owner, MemorySegment memory, boolean large) {
    }

    /** A part of a chunk, in use or free. */
    static final class Span {

        private final Chunk chunk;
        private final long from;
        private long size;
        private Span before;
        private Span after;
        private boolean free;

        private Span(Chunk chunk, long from, long size) {
            this.chunk = chunk;
            this.from = from;
            this.size = size;
        }

        /** Aligned to 64 bytes, of undefined content. */
        MemorySegment memory() {
            return chunk.memory.asSlice(from, size);
        }

        private boolean whole() {
            return size == chunk.memory.byteSize();
        }
    }

    long bytesInUse() {
        return bytesInUse;
    }

    /** What the system gave, in use or free. */
    long bytesHeld() {
        return bytesHeld;
    }

    /** The most that was ever in use at once. */
    long peakBytes() {
        return peakBytes;
    }

    /** Hands out what is free, whose content nobody needs. */
    void unused(Consumer<MemorySegment> action) {
        for (TreeMap<Long, ArrayDeque<Span>> free : List.of(freeSmall, freeLarge)) {
            free.values().forEach(spans -> spans.forEach(span -> action.accept(span.memory())));
        }
    }

    /** A block of at least {@code bytes}. */
    Span take(long bytes) {
        long size = Math.max(1, Math.ceilDiv(bytes, ALIGNMENT_BYTES)) * ALIGNMENT_BYTES;
        var fitting = free(size >= LARGE_BYTES).ceilingEntry(size);
        Span span;
        if (fitting == null) {
            span = grow(size);
        } else {
            span = fitting.getValue().getFirst();
            remove(span);
            cut(span, size);
        }
        bytesInUse += size;
        peakBytes = Math.max(peakBytes, bytesInUse);
        return span;
    }

    /** Takes a block back. */
    void give(Span span) {
        bytesInUse -= span.size;
        Span joined = span;
        if (span.before != null && span.before.free) {
            joined = span.before;
            remove(joined);
            swallowNext(joined);
        }
        if (joined.after != null && joined.after.free) {
            remove(joined.after);
            swallowNext(joined);
        }
        add(joined);
    }

    private Span grow(long size) {
        boolean large = size >= LARGE_BYTES;
        if (large) {
            giveBack(bytesHeld + size - Math.max(peakBytes, bytesInUse + size) / 8 * 9);
        }
        Arena owner = large ? Arena.ofShared() : smallOwner;
        Chunk chunk = new Chunk(owner, owner.allocate(size, ALIGNMENT_BYTES), large);
        chunks.add(chunk);
        bytesHeld += size;
        return new Span(chunk, 0, size);
    }

    /** Returns chunks that nobody uses to the system until it has so many bytes, the smallest first: large ones serve more. */
    private void giveBack(long bytes) {
        for (Span span : freeLarge.values().stream().flatMap(ArrayDeque::stream).filter(Span::whole).toList()) {
            if (bytes <= 0) {
                return;
            }
            remove(span);
            chunks.remove(span.chunk);
            span.chunk.owner.close();
            bytesHeld -= span.size;
            bytes -= span.size;
        }
    }

    /** Leaves {@code size} bytes of a span; the rest becomes free. */
    private void cut(Span span, long size) {
        if (span.size == size) {
            return;
        }
        Span rest = new Span(span.chunk, span.from + size, span.size - size);
        span.size = size;
        rest.before = span;
        rest.after = span.after;
        if (rest.after != null) {
            rest.after.before = rest;
        }
        span.after = rest;
        add(rest);
    }

    private static void swallowNext(Span span) {
        span.size += span.after.size;
        span.after = span.after.after;
        if (span.after != null) {
            span.after.before = span;
        }
    }

    private TreeMap<Long, ArrayDeque<Span>> free(boolean large) {
        return large ? freeLarge : freeSmall;
    }

    private void add(Span span) {
        span.free = true;
        free(span.chunk.large).computeIfAbsent(span.size, _ -> new ArrayDeque<>()).push(span);
    }

    private void remove(Span span) {
        span.free = false;
        TreeMap<Long, ArrayDeque<Span>> free = free(span.chunk.large);
        ArrayDeque<Span> alike = free.get(span.size);
        alike.remove(span);
        if (alike.isEmpty()) {
            free.remove(span.size);
        }
    }

    /** Returns everything to the system, in use or not. */
    @Override
    public void close() {
        bytesHeld = 0;
        freeSmall.clear();
        freeLarge.clear();
        chunks.stream().filter(Chunk::large).forEach(chunk -> chunk.owner.close());
        chunks.clear();
        smallOwner.close();
    }
}
