package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JournalTest {

    @TempDir
    private Path folder;
    private Path file;

    @BeforeEach
    void name() {
        file = folder.resolve("run.journal");
    }

    private Journal journal(int steps) {
        return new Journal(file, Map.of("steps", steps));
    }

    @Test
    void aRunThatFailedBeforeItsFirstPieceIsInNobodysWay() throws IOException {
        journal(4);
        assertFalse(Files.exists(file));
        Files.writeString(file, "{\"steps\":4}\n");
        journal(2).append(Map.of("step", 0));
        assertEquals(1, journal(2).entries().size());
    }

    @Test
    void finishedPiecesAreKeptFromARunWithOtherParameters() throws IOException {
        journal(4).append(Map.of("step", 0));
        byte[] before = Files.readAllBytes(file);
        assertTrue(assertThrows(UserInputException.class, () -> journal(2)).getMessage().contains("unfinished run with other parameters"));
        assertEquals(new String(before, StandardCharsets.UTF_8), Files.readString(file));
    }

    @Test
    void twoRunsAtOnceDoNotMixTheirPieces() {
        Journal first = journal(4);
        Journal second = journal(2);
        first.append(Map.of("step", 0));
        assertThrows(UserInputException.class, () -> second.append(Map.of("step", 0)));
        first.append(Map.of("step", 1));
        assertEquals(2, journal(4).entries().size());
    }

    @Test
    void aPieceThatWasCutWithinALetterIsPassedOver() throws IOException {
        journal(4).append(Map.of("prompt", "a"));
        byte[] whole = Files.readAllBytes(file);
        byte[] more = "{\"prompt\":\"é".getBytes(StandardCharsets.UTF_8);
        byte[] cut = Arrays.copyOf(whole, whole.length + more.length - 1);
        System.arraycopy(more, 0, cut, whole.length, more.length - 1);
        Files.write(file, cut);
        Journal again = journal(4);
        assertEquals(1, again.entries().size());
        again.append(Map.of("prompt", "é"));
        assertEquals(List.of("a", "é"), journal(4).entries().stream().map(entry -> entry.path("prompt").stringValue()).toList());
        again.done();
        try (var left = Files.list(folder)) {
            assertEquals(List.of(), left.toList());
        }
    }
}
