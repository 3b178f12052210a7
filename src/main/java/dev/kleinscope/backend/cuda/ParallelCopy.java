package dev.kleinscope.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Copies host memory on several threads: a mapped file's pages come in as they are first read, which is slow on one. */
final class ParallelCopy implements AutoCloseable {

    /** Less than this is not worth another thread. */
    private static final long PART_BYTES = 1L << 20;
    private static final long PAGE_BYTES = 4096;

    private final int threads;
    private final ExecutorService helpers;

    /** @param threads that copy, the caller's among them */
    ParallelCopy(int threads) {
        this.threads = threads;
        helpers = Executors.newFixedThreadPool(Math.max(1, threads - 1), Thread.ofPlatform().daemon().name("upload-", 0).factory());
    }

    /**
     * Fills {@code to} from the beginning. Returns, also by an exception, when no thread reads or writes any more.
     *
     * @param from from two mebibytes on of the heap or a shared arena
     * @throws InternalError if it is of a mapped file that shrank
     */
    void copy(MemorySegment from, MemorySegment to) {
        long bytes = from.byteSize();
        int parts = (int) Math.clamp(bytes / PART_BYTES, 1, threads);
        long part = Math.ceilDiv(Math.ceilDiv(bytes, parts), PAGE_BYTES) * PAGE_BYTES;
        CompletableFuture<?>[] others = new CompletableFuture<?>[parts - 1];
        for (int i = 1; i < parts; i++) {
            long begin = Math.min(bytes, i * part);
            long length = Math.min(part, bytes - begin);
            others[i - 1] = CompletableFuture.runAsync(() -> MemorySegment.copy(from, begin, to, begin, length), helpers);
        }
        try {
            MemorySegment.copy(from, 0, to, 0, Math.min(part, bytes));
        } finally {
            await(CompletableFuture.allOf(others));
        }
    }

    private static void await(CompletableFuture<?> copies) {
        try {
            copies.join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof Error error) {
                throw error;
            }
            throw e;
        }
    }

    @Override
    public void close() {
        helpers.shutdown();
    }
}
