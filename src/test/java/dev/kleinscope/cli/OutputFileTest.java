package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class OutputFileTest {

    @TempDir
    private Path folder;

    @Test
    void filesAndNamesThatAreFreeCanBeWritten() throws Exception {
        OutputFile.check("--out", folder.resolve("new.png"));
        OutputFile.check("--out", Files.createFile(folder.resolve("old.png")));
    }

    @Test
    void whatIsNoFileIsRefused() {
        assertTrue(message(folder).endsWith("is a folder; name a file"), message(folder));
        assertTrue(message(folder.resolve("none/x.png")).contains("there is no folder"));
    }

    @Test
    void aLinkIsRefusedWhateverItLeadsTo() throws Exception {
        for (Path target : new Path[] {Files.createFile(folder.resolve("old.png")), Path.of("/dev/null"), folder.resolve("new.png")}) {
            Path link = Files.createSymbolicLink(folder.resolve("to " + target.getFileName()), target);
            assertTrue(message(link).endsWith("is a link; name the file that it leads to"), message(link));
        }
    }

    private static String message(Path file) {
        return assertThrows(UserInputException.class, () -> OutputFile.check("--out", file)).getMessage();
    }

    @ParameterizedTest
    @ValueSource(strings = {"generate -p x -o", "dump -p x -o", "encode -p x -o", "diff a b --html"})
    void noCommandPutsAFileInADevicesPlace(String command) throws Exception {
        Path pipe = folder.resolve("pipe");
        assertEquals(0, new ProcessBuilder("mkfifo", pipe.toString()).inheritIO().start().waitFor());
        StringWriter err = new StringWriter();
        String[] args = (command + " " + pipe).split(" ");
        assertEquals(ExitCodes.BAD_INPUT, Main.run(new PrintWriter(new StringWriter()), new PrintWriter(err, true), args));
        assertTrue(err.toString().contains(pipe + " is a device or a pipe; name a file"), err.toString());
        assertFalse(Files.isRegularFile(pipe));
    }
}
