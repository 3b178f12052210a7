package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LargeSafetensorsTest {

    private static final long SPACE_BYTES = 1L << 20;

    @TempDir
    Path folder;

    @Test
    void tensorsBeyondTwoGibibytesAreReadAtOnce() throws IOException {
        Assumptions.assumeTrue(Files.getFileStore(folder).getUsableSpace() > SPACE_BYTES,
                "SKIPPED: no space for a sparse file");
        long big = 4_000_000_000L;
        HostileFile content = new HostileFile().tensor("big", "U8", "[" + big + "]", big).tensor("last", "I32", "[2]", 8);
        Path file;
        try {
            file = content.writeSparse(folder.resolve("large.safetensors"));
        } catch (IOException e) {
            Assumptions.abort("SKIPPED: no sparse file of 4 GB can be made here: " + e);
            return;
        }
        try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
            access.seek(access.length() - 4);
            access.write(new byte[] {42, 0, 0, 0});
        }
        long start = System.nanoTime();
        try (Safetensors weights = Safetensors.open(file)) {
            assertEquals(42, weights.tensor("last").toHost().values()[1]);
            assertEquals(0, weights.tensor("big").slice(0, big - 1, big).toHost().values()[0]);
        }
        long millis = (System.nanoTime() - start) / 1_000_000;
        System.out.println("4 GB sparse file: opened, read at its end and closed in " + millis + " ms");
        assertTrue(millis < 2000, millis + " ms: the file was read, not mapped");
    }
}
