package dev.kleinscope.weights;

import dev.kleinscope.tensor.DrawnStorage;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;

/** Draws random weights on all cores while those before them go to the file; holds a few chunks and no more. */
final class ChunkPipeline implements AutoCloseable {

    static final int CHUNK_BYTES = 4 << 20;

    private record Chunk(String name, MemorySegment buffer, MemorySegment filled) {
    }

    private final SafetensorsWriter writer;
    private final Consumer<String> progress;
    private final ExecutorService cores;
    private final Arena arena = Arena.ofShared();
    private final Deque<MemorySegment> free = new ArrayDeque<>();
    private final Deque<Future<Chunk>> pending = new ArrayDeque<>();

    private ChunkPipeline(SafetensorsWriter writer, Consumer<String> progress) {
        this.writer = writer;
        this.progress = progress;
        int threads = Runtime.getRuntime().availableProcessors();
        cores = Executors.newFixedThreadPool(threads, Thread.ofPlatform().daemon().name("random-", 0).factory());
        for (int i = 0; i <= threads; i++) {
            free.add(arena.allocate(CHUNK_BYTES, Long.BYTES));
        }
    }

    /** Writes all tensors. @throws InterruptedException if the thread is interrupted */
    static void write(SafetensorsWriter writer, List<Declaration> declarations, long seed, Consumer<String> progress)
            throws InterruptedException {
        try (ChunkPipeline pipeline = new ChunkPipeline(writer, progress)) {
            RandomWeights weights = new RandomWeights(seed);
            for (Declaration declaration : declarations) {
                pipeline.draw(declaration, weights.of(declaration));
            }
            while (!pipeline.pending.isEmpty()) {
                pipeline.writeNext();
            }
        }
    }

    private void draw(Declaration declaration, DrawnStorage weights) throws InterruptedException {
        long bytes = declaration.bytes();
        for (long begin = 0; begin < bytes; begin += CHUNK_BYTES) {
            if (free.isEmpty()) {
                writeNext();
            }
            long offset = begin;
            MemorySegment buffer = free.remove();
            MemorySegment piece = buffer.asSlice(0, Math.min(CHUNK_BYTES, bytes - offset));
            pending.add(cores.submit(() -> {
                weights.fill(offset, piece);
                return new Chunk(declaration.name(), buffer, piece);
            }));
        }
    }

    private void writeNext() throws InterruptedException {
        try {
            if (Thread.interrupted()) {
                throw new InterruptedException("stopped while drawing weights");
            }
            Chunk chunk = pending.remove().get();
            writer.write(chunk.name(), chunk.filled());
            free.add(chunk.buffer());
            progress.accept(chunk.name());
        } catch (ExecutionException e) {
            throw new IllegalStateException("drawing weights failed", e.getCause());
        }
    }

    @Override
    public void close() {
        // waits for the chunks under way, which take milliseconds, also on an interrupted thread
        cores.close();
        arena.close();
    }
}
