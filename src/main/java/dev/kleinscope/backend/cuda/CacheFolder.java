package dev.kleinscope.backend.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * What is found out once a machine: {@code $XDG_CACHE_HOME/kleinscope}, else {@code ~/.cache/kleinscope}. A cache that cannot be read
 * or written is done without.
 */
final class CacheFolder {

    private CacheFolder() {
    }

    /** A folder for one kind of thing; it may not exist. */
    static Path of(String kind) {
        String cache = System.getenv("XDG_CACHE_HOME");
        Path base = cache == null || cache.isEmpty() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(cache);
        return base.resolve("kleinscope").resolve(kind);
    }

    /** Puts a file in place whole, or not at all. */
    static void keep(Path file, byte[] bytes) {
        Path partial = null;
        try {
            Files.createDirectories(file.getParent());
            partial = Files.createTempFile(file.getParent(), "partial", null);
            Files.write(partial, bytes);
            Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException _) {
            discard(partial);
        }
    }

    private static void discard(Path partial) {
        if (partial != null) {
            try {
                Files.deleteIfExists(partial);
            } catch (IOException _) {
                // it stays behind in the cache, where it harms nobody
            }
        }
    }
}
