package dev.kleinscope.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFileTest {

    @TempDir
    Path folder;

    @Test
    void replacesTheFormerFileAndLeavesNothingElse() throws IOException {
        Path target = folder.resolve("report.csv");
        Files.writeString(target, "former");
        AtomicFile.write(target, out -> out.write("n\u00e9w"));
        assertEquals("n\u00e9w", Files.readString(target));
        assertEquals(List.of("report.csv"), names());
    }

    @Test
    void aDiskThatFillsUpKeepsTheFormerFileAndLeavesNothingElse() throws IOException {
        Path target = folder.resolve("report.csv");
        Files.writeString(target, "former");
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> AtomicFile.write(target, out -> {
            out.write("half a report");
            out.flush();
            throw new IOException("No space left on device");
        }));
        assertEquals(target + ": cannot be written: No space left on device", e.getMessage());
        assertEquals("former", Files.readString(target));
        assertEquals(List.of("report.csv"), names());
    }

    @Test
    void aLibrarysUncheckedFailureIsReportedAlike() throws IOException {
        Path target = folder.resolve("report.csv");
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> AtomicFile.write(target, _ -> {
            throw new UncheckedIOException(new IOException("No space left on device"));
        }));
        assertEquals(target + ": cannot be written: No space left on device", e.getMessage());
        assertEquals(List.of(), names());
    }

    @Test
    void aMistakeInTheContentLeavesNothing() throws IOException {
        assertThrows(IllegalArgumentException.class, () -> AtomicFile.write(folder.resolve("report.csv"), out -> {
            out.write("half a report");
            throw new IllegalArgumentException("content");
        }));
        assertEquals(List.of(), names());
    }

    @Test
    void aMissingFolderIsNamedWithWhatToDo() {
        Path target = folder.resolve("absent").resolve("report.csv");
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> AtomicFile.write(target, out -> out.write("")));
        assertEquals(target + ": cannot be written: its folder does not exist; create it first", e.getMessage());
    }

    /** A file in the place of a folder cannot be written into even by the superuser, whom file permissions do not stop. */
    @Test
    void aFolderThatCannotBeWrittenToIsNamed() throws IOException {
        Path file = Files.createFile(folder.resolve("file"));
        Path target = file.resolve("report.csv");
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> AtomicFile.write(target, out -> out.write("")));
        assertTrue(e.getMessage().startsWith(target + ": cannot be written: "), e.getMessage());
        assertEquals(List.of("file"), names());
    }

    @Test
    void aFolderInThePlaceOfTheFileStaysAndNothingIsLeft() throws IOException {
        Path target = Files.createDirectory(folder.resolve("report.csv"));
        Files.createFile(target.resolve("kept"));
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> AtomicFile.write(target, out -> out.write("")));
        assertTrue(e.getMessage().startsWith(target + ": cannot be written: "), e.getMessage());
        assertEquals(List.of("report.csv"), names());
        assertTrue(Files.exists(target.resolve("kept")));
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
