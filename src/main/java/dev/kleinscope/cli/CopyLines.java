package dev.kleinscope.cli;

import dev.kleinscope.backend.cpu.CpuMemory;
import java.io.PrintStream;
import java.util.Locale;

/** How far the copying of weights is, a line every few seconds on standard error; none for what takes less than two. */
final class CopyLines implements CpuMemory.CopyProgress {

    private static final long QUIET_NANOS = 2_000_000_000L;
    private static final long EVERY_NANOS = 5_000_000_000L;

    private final PrintStream to;
    private String model;
    private long started;
    private long told;

    CopyLines(PrintStream to) {
        this.to = to;
    }

    static CopyLines onStandardError() {
        return new CopyLines(System.err);
    }

    @Override
    public void copied(String name, long doneBytes, long bytes) {
        long now = System.nanoTime();
        if (!name.equals(model)) {
            model = name;
            started = now;
            told = now + QUIET_NANOS - EVERY_NANOS;
        }
        if (doneBytes < bytes && now - told >= EVERY_NANOS) {
            told = now;
            double left = (now - started) / 1e9 / doneBytes * (bytes - doneBytes);
            to.printf(Locale.ROOT, "copying the weights of %s: %s of %s, %.0f s left%n", name, Doctor.bytes(doneBytes), Doctor.bytes(bytes), left);
        }
    }
}
