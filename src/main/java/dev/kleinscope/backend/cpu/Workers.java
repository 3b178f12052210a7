package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.RunInterruptedException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A fixed set of threads, the caller among them, that share out the chunks of one operation.
 *
 * <p>Which thread computes a chunk is left to chance, so no chunk's result may depend on it.
 */
final class Workers implements AutoCloseable {

    /** Computes one part of an operation, independently of all others. */
    interface Chunk {
        void run(int index, Scratch scratch);
    }

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition started = lock.newCondition();
    private final Condition finished = lock.newCondition();
    private final Scratch callersScratch = new Scratch();
    private final int threads;
    private float[] shared = new float[0];
    private Job current;
    private int active;
    private boolean closed;

    /** @param threads at least one, the caller included */
    Workers(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("cpu: expected at least 1 thread, found " + threads);
        }
        this.threads = threads;
        for (int i = 1; i < threads; i++) {
            Thread.ofPlatform().daemon().name("kleinscope-cpu-" + i).start(this::serve);
        }
    }

    int threads() {
        return threads;
    }

    /** An array of at least {@code size} floats that all threads see; its content lasts until the next operation asks for one. */
    float[] shared(int size) {
        if (shared.length < size) {
            shared = null;
            shared = new float[size];
        }
        return shared;
    }

    /**
     * Runs chunks 0 to {@code chunks} and returns when all have ended. What a chunk throws is thrown here.
     *
     * @throws RunInterruptedException if the calling thread is interrupted; chunks under way end first
     */
    void run(int chunks, Chunk chunk) {
        Job job = new Job(chunks, chunk, Thread.currentThread());
        boolean shared = threads > 1 && chunks > 1;
        lock.lock();
        try {
            if (closed) {
                throw new IllegalStateException("the cpu backend is closed");
            }
            if (shared) {
                current = job;
                started.signalAll();
            }
        } finally {
            lock.unlock();
        }
        job.work(callersScratch);
        if (shared) {
            await();
        }
        job.report();
    }

    private void await() {
        lock.lock();
        try {
            current = null;
            while (active > 0) {
                finished.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
    }

    private void serve() {
        Scratch scratch = new Scratch();
        Job last = null;
        while (true) {
            lock.lock();
            try {
                while (!closed && (current == null || current == last)) {
                    started.awaitUninterruptibly();
                }
                if (closed) {
                    return;
                }
                last = current;
                active++;
            } finally {
                lock.unlock();
            }
            last.work(scratch);
            lock.lock();
            try {
                active--;
                finished.signal();
            } finally {
                lock.unlock();
            }
        }
    }

    /** Ends the threads; later runs are errors. */
    @Override
    public void close() {
        lock.lock();
        try {
            closed = true;
            started.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private static final class Job {

        private final int chunks;
        private final Chunk chunk;
        private final Thread caller;
        private final AtomicInteger next = new AtomicInteger();
        private volatile Throwable failure;

        Job(int chunks, Chunk chunk, Thread caller) {
            this.chunks = chunks;
            this.chunk = chunk;
            this.caller = caller;
        }

        void work(Scratch scratch) {
            try {
                int index;
                while (failure == null && (index = next.getAndIncrement()) < chunks) {
                    if (caller.isInterrupted()) {
                        throw new RunInterruptedException("interrupted after " + index + " of " + chunks + " chunks");
                    }
                    chunk.run(index, scratch);
                }
            } catch (Throwable thrown) {
                failure = thrown;
            }
        }

        void report() {
            switch (failure) {
                case null -> { }
                case RuntimeException exception -> throw exception;
                case Error error -> throw error;
                default -> throw new AssertionError(failure);
            }
        }
    }
}
