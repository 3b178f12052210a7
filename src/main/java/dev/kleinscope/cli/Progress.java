package dev.kleinscope.cli;

import java.time.Duration;
import java.time.Instant;
import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarConsumer;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * How far a task is and how long it will still take, on standard error. Silent for the first two seconds, so that
 * short tasks leave no trace; then a bar on a terminal, or a plain line every ten seconds elsewhere.
 */
public final class Progress implements AutoCloseable {

    private static final Duration QUIET_START = Duration.ofSeconds(2);
    private static final Duration LINE_EVERY = Duration.ofSeconds(10);
    private static final int BAR_UPDATE_MILLIS = 500;

    private final Console console;
    private final String task;
    private final long steps;
    private final Instant started = Instant.now();
    private final Thread ticker;
    private long done;
    private String detail = "";
    private ProgressBar bar;
    private boolean closed;

    private Progress(Console console, String task, long steps, Duration quietStart, Duration lineEvery) {
        this.console = console;
        this.task = task;
        this.steps = steps;
        this.ticker = console.quiet()
                ? null
                : Thread.ofPlatform().daemon().name("progress").start(() -> tick(quietStart, lineEvery));
    }

    /** Starts the clock of a task of {@code steps} steps. */
    public static Progress start(Console console, String task, long steps) {
        return start(console, task, steps, QUIET_START, LINE_EVERY);
    }

    static Progress start(Console console, String task, long steps, Duration quietStart, Duration lineEvery) {
        return new Progress(console, task, steps, quietStart, lineEvery);
    }

    /** One step is done; {@code what} names it or what follows, in a few words. */
    public synchronized void step(String what) {
        done++;
        detail = what;
        if (bar != null) {
            bar.stepTo(done);
            bar.setExtraMessage(what);
        }
    }

    /** Leaves the terminal as a finished line. */
    @Override
    public void close() {
        synchronized (this) {
            closed = true;
            if (bar != null) {
                bar.close();
            }
            notifyAll();
        }
    }

    private synchronized void tick(Duration quietStart, Duration lineEvery) {
        try {
            pause(quietStart);
            if (console.terminal()) {
                openBar();
                return;
            }
            while (!closed) {
                console.note(line());
                pause(lineEvery);
            }
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    private void pause(Duration length) throws InterruptedException {
        long end = System.nanoTime() + length.toNanos();
        for (long left = length.toNanos(); left > 0 && !closed; left = end - System.nanoTime()) {
            wait(Math.max(1, left / 1_000_000));
        }
    }

    private void openBar() {
        if (closed) {
            return;
        }
        bar = new ProgressBarBuilder()
                .setTaskName(task)
                .setInitialMax(steps)
                .startsFrom(done, Duration.between(started, Instant.now()))
                .setStyle(ProgressBarStyle.ASCII)
                .setUpdateIntervalMillis(BAR_UPDATE_MILLIS)
                .setConsumer(new OneLine())
                .build();
        bar.setExtraMessage(detail);
    }

    private String line() {
        String left = done == 0 || done >= steps ? "" : ", " + left() + " left";
        return task + ": " + done + " of " + steps + left + (detail.isEmpty() ? "" : " (" + detail + ")");
    }

    private String left() {
        double seconds = Duration.between(started, Instant.now()).toMillis() / 1e3 / done * (steps - done);
        long whole = Math.round(seconds);
        return whole < 60 ? whole + " s" : String.format(Locale.ROOT, "%d min %02d s", whole / 60, whole % 60);
    }

    /** Redraws the terminal's last line; asks no library for the terminal's width. */
    private final class OneLine implements ProgressBarConsumer {

        @Override
        public int getMaxRenderedLength() {
            return console.columns() - 1;
        }

        @Override
        public void accept(String rendered) {
            console.err().print("\r" + rendered);
            console.err().flush();
        }

        @Override
        public void close() {
            console.err().println();
            console.err().flush();
        }
    }
}
