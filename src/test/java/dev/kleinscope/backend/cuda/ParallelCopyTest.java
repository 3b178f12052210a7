package dev.kleinscope.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ParallelCopyTest {

    private static final int MIB = 1 << 20;

    @TempDir
    private Path folder;

    @Test
    void everyByteArrivesAndNoneBeyond() {
        Random random = new Random(5);
        try (ParallelCopy copies = new ParallelCopy(4); Arena arena = Arena.ofConfined()) {
            MemorySegment zeros = arena.allocate(6 * MIB);
            for (int bytes : new int[] {0, 1, 4097, MIB - 1, 2 * MIB + 1, 4 * MIB, 5 * MIB + 4099}) {
                byte[] from = new byte[bytes];
                random.nextBytes(from);
                try (Arena shared = Arena.ofShared()) {
                    MemorySegment target = shared.allocate(6 * MIB);
                    copies.copy(MemorySegment.ofArray(from), target);
                    assertEquals(-1, target.asSlice(0, bytes).mismatch(MemorySegment.ofArray(from)), bytes + " bytes");
                    assertEquals(-1, target.asSlice(bytes).mismatch(zeros.asSlice(bytes)), "beyond " + bytes + " bytes");
                }
            }
        }
    }

    @Test
    void aFileThatShrankIsReportedFromWhicheverThreadReadIt() throws IOException {
        Path path = folder.resolve("shrinking");
        Files.write(path, new byte[8 * MIB]);
        try (ParallelCopy copies = new ParallelCopy(4); Arena arena = Arena.ofShared();
                FileChannel file = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MemorySegment mapped = file.map(FileChannel.MapMode.READ_ONLY, 0, 8 * MIB, arena);
            MemorySegment to = arena.allocate(8 * MIB);
            file.truncate(7 * MIB);
            String message = assertThrows(InternalError.class, () -> copies.copy(mapped, to)).getMessage();
            assertTrue(message.contains("fault occurred in an unsafe memory access"), message);
            to.set(ValueLayout.JAVA_BYTE, 7 * MIB - 1, (byte) 1);
            copies.copy(mapped.asSlice(0, 7 * MIB), to);
            assertEquals(0, to.get(ValueLayout.JAVA_BYTE, 7 * MIB - 1), "copies go on after a fault");
        }
    }
}
