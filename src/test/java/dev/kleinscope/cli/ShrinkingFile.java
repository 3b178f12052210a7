package dev.kleinscope.cli;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A mapped file that loses its end while it is read. */
final class ShrinkingFile {

    private static final int BYTES = 1 << 16;

    private ShrinkingFile() {}

    /** The error that the JVM makes of it. */
    static InternalError fault() throws IOException {
        Path file = Files.createTempFile("shrinking", ".bin");
        Files.write(file, new byte[BYTES]);
        try (Arena arena = Arena.ofConfined();
                FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            MemorySegment mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, BYTES, arena);
            channel.truncate(0);
            float[] copy = new float[BYTES / Float.BYTES];
            MemorySegment.copy(mapped, ValueLayout.JAVA_FLOAT, 0, copy, 0, copy.length);
            throw new AssertionError("a read beyond the end of the file went well");
        } catch (InternalError e) {
            return e;
        } finally {
            Files.delete(file);
        }
    }
}
