package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class StandardOutputTest {

    private static Process help(ProcessBuilder.Redirect out) throws IOException {
        return new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp",
                System.getProperty("java.class.path"), Main.class.getName(), "--version").redirectOutput(out).start();
    }

    @Test
    void aResultThatTheDiskDoesNotTakeIsNoSuccess() throws Exception {
        File full = new File("/dev/full");
        assumeTrue(full.exists(), "skipped: no /dev/full");
        Process run = help(ProcessBuilder.Redirect.to(full));
        String said = new String(run.getErrorStream().readAllBytes());
        assertTrue(run.waitFor(30, TimeUnit.SECONDS), "still running");
        assertTrue(said.contains("standard output could not be written"), said);
        assertEquals(ExitCodes.BAD_INPUT, run.exitValue());
    }

    @Test
    void aReaderThatHasEnoughIsNoFailure() throws Exception {
        Process run = help(ProcessBuilder.Redirect.PIPE);
        run.getInputStream().close();
        String said = new String(run.getErrorStream().readAllBytes());
        assertTrue(run.waitFor(30, TimeUnit.SECONDS), "still running");
        assertEquals(ExitCodes.OK, run.exitValue(), said);
        assertEquals("", said);
    }
}
