package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileStampsTest {

    @TempDir
    private Path folder;

    private Path file;
    private final FileStamps stamps = new FileStamps();

    @BeforeEach
    void writeAndStamp() {
        file = write("model.safetensors");
        try (Safetensors source = Safetensors.open(file)) {
            stamps.add(source);
        }
    }

    private Path write(String name) {
        Path target = folder.resolve(name);
        try (SafetensorsWriter writer = SafetensorsWriter.create(target, List.of(new SafetensorsWriter.Declaration("a", DType.F32,
                Shape.of(4))), Map.of())) {
            writer.write("a", new float[] {1, 2, 3, 4});
            writer.commit();
        }
        return target;
    }

    @Test
    void aFileThatNobodyTouchedPasses() {
        stamps.requireUnchanged();
    }

    @Test
    void aLossWithinTheLastPageWhichNoFaultTellsOfIsFound() throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(channel.size() - 1);
        }
        ModelException found = assertThrows(ModelException.class, stamps::requireUnchanged);
        assertTrue(found.getMessage().contains("changed while it was in use"), found.getMessage());
    }

    @Test
    void bytesReplacedInPlaceAreFound() throws IOException {
        Files.setLastModifiedTime(file, FileTime.from(Instant.parse("2020-01-01T00:00:00Z")));
        assertThrows(ModelException.class, stamps::requireUnchanged);
    }

    @Test
    void aFileReplacedByAnotherOrRemovedIsStillMappedAsItWas() throws IOException {
        Files.move(write("other.safetensors"), file, StandardCopyOption.REPLACE_EXISTING);
        stamps.requireUnchanged();
        Files.delete(file);
        stamps.requireUnchanged();
    }
}
