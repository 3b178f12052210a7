package dev.kleinscope.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Samples this process's memory while something runs.
 *
 * <p>Anonymous memory (heap, native buffers) is told apart from pages of mapped files, which the kernel may drop.
 */
final class ProcessMemory implements AutoCloseable {

    private static final Path STATUS = Path.of("/proc/self/status");
    private static final int SAMPLE_MILLIS = 20;

    private final Thread sampler;
    private volatile boolean stopped;
    private long anonymousPeak;
    private long filePeak;

    ProcessMemory() {
        sampler = Thread.ofPlatform().daemon().name("memory sampler").start(this::sample);
    }

    /** Whether the system tells. */
    static boolean available() {
        return Files.isReadable(STATUS);
    }

    /** Most anonymous bytes seen. */
    synchronized long anonymousPeak() {
        return anonymousPeak;
    }

    /** Most bytes of mapped files seen in memory. */
    synchronized long filePeak() {
        return filePeak;
    }

    private void sample() {
        while (!stopped && available()) {
            try {
                long anonymous = 0;
                long file = 0;
                for (String line : Files.readAllLines(STATUS)) {
                    if (line.startsWith("RssAnon:")) {
                        anonymous = kibibytes(line);
                    } else if (line.startsWith("RssFile:")) {
                        file = kibibytes(line);
                    }
                }
                synchronized (this) {
                    anonymousPeak = Math.max(anonymousPeak, anonymous);
                    filePeak = Math.max(filePeak, file);
                }
                Thread.sleep(SAMPLE_MILLIS);
            } catch (IOException | InterruptedException _) {
                return;
            }
        }
    }

    private static long kibibytes(String line) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
    }

    @Override
    public void close() {
        stopped = true;
        try {
            sampler.join();
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }
}
