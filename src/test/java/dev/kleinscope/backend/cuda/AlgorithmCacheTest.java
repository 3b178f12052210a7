package dev.kleinscope.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AlgorithmCacheTest {

    private static final String KEY = "NVIDIA H100 80GB HBM3 sm_90 cublaslt 130100";

    @TempDir
    private Path folder;

    private static byte[] algorithm(int first) {
        byte[] bytes = new byte[AlgorithmCache.ALGORITHM_BYTES];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (first + 3 * i);
        }
        return bytes;
    }

    @Test
    void whatWasKeptIsFoundByTheNextProcess() {
        assertTrue(new AlgorithmCache(folder, KEY).lasting());
        new AlgorithmCache(folder, KEY).put("4608 3072 27648", algorithm(200));
        AlgorithmCache next = new AlgorithmCache(folder, KEY);
        assertArrayEquals(algorithm(200), next.get("4608 3072 27648"));
        assertNull(next.get("4608 3072 27649"));
        assertNull(new AlgorithmCache(folder, KEY + "1").get("4608 3072 27648"), "another version of the library");
    }

    @Test
    void twoProcessesKeepEachOthersLines() {
        AlgorithmCache one = new AlgorithmCache(folder, KEY);
        AlgorithmCache other = new AlgorithmCache(folder, KEY);
        one.put("1", algorithm(1));
        other.put("2", algorithm(2));
        AlgorithmCache next = new AlgorithmCache(folder, KEY);
        assertArrayEquals(algorithm(1), next.get("1"));
        assertArrayEquals(algorithm(2), next.get("2"));
    }

    @Test
    void aDamagedFileIsAsGoodAsNone() throws IOException {
        new AlgorithmCache(folder, KEY).put("1", algorithm(1));
        Path file = only();
        Files.write(file, List.of("1\t00ff", "no tab", "2\t" + "zz".repeat(AlgorithmCache.ALGORITHM_BYTES), "\t"));
        AlgorithmCache damaged = new AlgorithmCache(folder, KEY);
        assertNull(damaged.get("1"));
        assertNull(damaged.get("2"));
        damaged.put("3", algorithm(3));
        assertArrayEquals(algorithm(3), new AlgorithmCache(folder, KEY).get("3"));
    }

    @Test
    void anEnormousFileIsNotRead() throws IOException {
        new AlgorithmCache(folder, KEY).put("1", algorithm(1));
        try (RandomAccessFile file = new RandomAccessFile(only().toFile(), "rw")) {
            file.setLength(1L << 33);
        }
        assertNull(new AlgorithmCache(folder, KEY).get("1"));
    }

    @Test
    void aFolderThatCannotBeWrittenIsDoneWithout() throws IOException {
        Path notAFolder = Files.writeString(folder.resolve("file"), "");
        AlgorithmCache cache = new AlgorithmCache(notAFolder, KEY);
        assertFalse(cache.lasting());
        cache.put("1", algorithm(1));
        assertArrayEquals(algorithm(1), cache.get("1"));
    }

    private Path only() throws IOException {
        try (var files = Files.list(folder)) {
            List<Path> all = files.toList();
            assertEquals(1, all.size(), "one file, and nothing partial beside it: " + all);
            return all.getFirst();
        }
    }
}
