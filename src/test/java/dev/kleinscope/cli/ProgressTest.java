package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class ProgressTest {

    private static final Duration SOON = Duration.ofMillis(20);
    private static final Duration NEVER = Duration.ofHours(1);

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private Console console(boolean quiet, boolean terminal) {
        return new Console(new PrintWriter(out, true), new PrintWriter(err, true), quiet, terminal, 60);
    }

    @Test
    void aShortTaskLeavesNoTrace() {
        try (Progress progress = Progress.start(console(false, true), "denoise", 4)) {
            progress.step("step 1");
        }
        assertEquals("", err.toString());
    }

    @Test
    void aFileGetsPlainLinesWithTheTimeLeft() throws InterruptedException {
        try (Progress progress = Progress.start(console(false, false), "denoise", 4, SOON, NEVER)) {
            progress.step("step 1");
            await("denoise: 1 of 4, ");
        }
        assertTrue(err.toString().matches("denoise: 1 of 4, \\d+ s left \\(step 1\\)\\R"), err.toString());
    }

    @Test
    void aTerminalGetsALineThatIsRedrawn() throws InterruptedException {
        try (Progress progress = Progress.start(console(false, true), "denoise", 4, SOON, NEVER)) {
            progress.step("step 1");
            await("\r");
            progress.step("step 2");
        }
        assertTrue(err.toString().contains("2/4"), err.toString());
        assertTrue(err.toString().endsWith(System.lineSeparator()), err.toString());
        for (String line : err.toString().strip().split("\r")) {
            assertTrue(line.strip().length() < 60, line);
        }
    }

    @Test
    void quietSaysNothing() throws InterruptedException {
        try (Progress progress = Progress.start(console(true, false), "denoise", 4, Duration.ZERO, SOON)) {
            progress.step("step 1");
            Thread.sleep(100);
        }
        assertEquals("", err.toString());
    }

    @Test
    void progressKeepsOffStandardOutput() throws InterruptedException {
        try (Progress progress = Progress.start(console(false, false), "denoise", 4, Duration.ZERO, SOON)) {
            progress.step("step 1");
            await("denoise");
        }
        assertEquals("", out.toString());
    }

    private void await(String text) throws InterruptedException {
        for (int i = 0; i < 500 && !err.toString().contains(text); i++) {
            Thread.sleep(10);
        }
        assertTrue(err.toString().contains(text), err.toString());
    }
}
