package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;

@DisabledOnOs(value = OS.WINDOWS, disabledReason = "skipped: no signals")
class InterruptsTest {

    @Test
    void ctrlCLetsTheRunCleanUp() throws Exception {
        Process run = start();
        try (BufferedReader out = run.inputReader()) {
            assertEquals("running", out.readLine());
            signal(run);
            assertEquals("interrupted", out.readLine());
            assertEquals("cleaned up", out.readLine());
            assertTrue(run.waitFor(30, TimeUnit.SECONDS), "still running");
            assertEquals(ExitCodes.INTERRUPTED, run.exitValue());
        } finally {
            run.destroyForcibly();
        }
    }

    @Test
    void aRunThatDoesNotListenEndsAllTheSame() throws Exception {
        Process run = start("deaf");
        try (BufferedReader out = run.inputReader()) {
            assertEquals("running", out.readLine());
            signal(run);
            assertEquals("interrupted", out.readLine());
            assertTrue(run.waitFor(30, TimeUnit.SECONDS), "still running");
            assertEquals(ExitCodes.INTERRUPTED, run.exitValue());
        } finally {
            run.destroyForcibly();
        }
    }

    @Test
    void theSecondCtrlCKillsAtOnce() throws Exception {
        Process run = start("deaf");
        try (BufferedReader out = run.inputReader()) {
            assertEquals("running", out.readLine());
            signal(run);
            assertEquals("interrupted", out.readLine());
            long asked = System.nanoTime();
            signal(run);
            assertTrue(run.waitFor(30, TimeUnit.SECONDS), "still running");
            assertEquals(ExitCodes.INTERRUPTED, run.exitValue());
            long millis = (System.nanoTime() - asked) / 1_000_000;
            assertTrue(millis < 1500, "took " + millis + " ms, as long as the grace that the first one gives");
        } finally {
            run.destroyForcibly();
        }
    }

    private static Process start(String... args) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
                LongRun.class.getName());
        builder.command().addAll(List.of(args));
        return builder.redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    private static void signal(Process run) throws IOException, InterruptedException {
        Process kill = new ProcessBuilder("kill", "-INT", String.valueOf(run.pid())).inheritIO().start();
        assertEquals(0, kill.waitFor());
    }
}
