package dev.kleinscope.backend.cpu;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What this process has in memory. */
interface Residency {

    /**
     * @param anonymousBytes its own: heap, native buffers, copies
     * @param fileBytes pages of mapped files
     */
    record Sizes(long anonymousBytes, long fileBytes) {
    }

    Sizes now();

    /** Whether {@link #ofProcess} can tell here. */
    static boolean available() {
        return Files.isReadable(Kernel.STATM);
    }

    /** As the kernel counts it. */
    static Residency ofProcess() {
        return Kernel::read;
    }

    /** Linux's {@code /proc}. */
    final class Kernel {

        private static final Path STATM = Path.of("/proc/self/statm");
        private static final long PAGE_BYTES = 4096;

        private Kernel() {
        }

        private static Sizes read() {
            try {
                String[] pages = Files.readString(STATM).split(" ");
                long resident = Long.parseLong(pages[1]) * PAGE_BYTES;
                long shared = Long.parseLong(pages[2]) * PAGE_BYTES;
                return new Sizes(resident - shared, shared);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
