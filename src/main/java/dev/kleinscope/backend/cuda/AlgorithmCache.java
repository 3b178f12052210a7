package dev.kleinscope.backend.cuda;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Which of cuBLASLt's algorithms was the fastest for a product, kept in a text file of its own for each GPU and version of cuBLASLt:
 * a line for each shape, its numbers and the algorithm's 64 bytes, which the same version of the library reads back.
 */
final class AlgorithmCache {

    static final int ALGORITHM_BYTES = 64;
    private static final long MOST_FILE_BYTES = 4 << 20;

    private final Path file;
    private final Map<String, byte[]> algorithms = new LinkedHashMap<>();

    /** @param key GPU and version of the library */
    AlgorithmCache(String key) {
        this(CacheFolder.of("cublaslt"), key);
    }

    AlgorithmCache(Path folder, String key) {
        file = folder.resolve(key.replaceAll("[^A-Za-z0-9.]+", "-") + ".txt");
        read();
    }

    /** Whether what is put here is there for the next process, so that both compute the same bits. */
    boolean lasting() {
        try {
            Files.createDirectories(file.getParent());
            return Files.isWritable(file.getParent());
        } catch (IOException _) {
            return false;
        }
    }

    /** The bytes kept for a shape, or null. */
    byte[] get(String shape) {
        return algorithms.get(shape);
    }

    /** @return what is kept for the shape: that of another process, if it came first */
    byte[] put(String shape, byte[] algorithm) {
        read();
        byte[] first = algorithms.putIfAbsent(shape, algorithm);
        if (first != null) {
            return first;
        }
        StringBuilder text = new StringBuilder();
        algorithms.forEach((key, bytes) -> text.append(key).append('\t').append(HexFormat.of().formatHex(bytes)).append('\n'));
        CacheFolder.keep(file, text.toString().getBytes(StandardCharsets.UTF_8));
        return algorithm;
    }

    /** Lines that are not as they were written are passed over. */
    private void read() {
        try {
            if (Files.size(file) > MOST_FILE_BYTES) {
                return;
            }
            for (String line : Files.readString(file).split("\n")) {
                int tab = line.indexOf('\t');
                if (tab > 0 && line.length() - tab - 1 == 2 * ALGORITHM_BYTES) {
                    algorithms.put(line.substring(0, tab), HexFormat.of().parseHex(line, tab + 1, line.length()));
                }
            }
        } catch (IOException | IllegalArgumentException _) {
            // measured again
        }
    }
}
