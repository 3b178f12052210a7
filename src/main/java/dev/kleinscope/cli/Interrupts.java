package dev.kleinscope.cli;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Ctrl-C: the first interrupts the thread that runs the command and gives it two seconds to remove what it wrote in
 * part; the second kills at once. The exit status is the one that the JVM gives a signal: 130, or 143 for SIGTERM.
 */
final class Interrupts {

    private static final int GRACE_SECONDS = 2;
    private static final int SIGINT = 2;
    private static final int SIGTERM = 15;

    private final Thread worker;
    private final CountDownLatch done = new CountDownLatch(1);

    private Interrupts(Thread worker) {
        this.worker = worker;
    }

    /** Watches over the current thread until {@link #done}. */
    static Interrupts watch() {
        Interrupts interrupts = new Interrupts(Thread.currentThread());
        Runtime.getRuntime().addShutdownHook(new Thread(interrupts::stop, "interrupt"));
        return interrupts;
    }

    /** The command has returned and cleaned up. */
    void done() {
        done.countDown();
    }

    private void stop() {
        if (done.getCount() == 0) {
            return;
        }
        letTheNextSignalKill();
        worker.interrupt();
        try {
            done.await(GRACE_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    /** The JVM, once it is shutting down, holds further signals back; the kernel does not. */
    private static void letTheNextSignalKill() {
        if (System.getProperty("os.name").startsWith("Windows")) {
            return;
        }
        Linker linker = Linker.nativeLinker();
        var signal = linker.downcallHandle(linker.defaultLookup().findOrThrow("signal"),
                FunctionDescriptor.of(ValueLayout.ADDRESS, ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
        try {
            var _ = (MemorySegment) signal.invokeExact(SIGINT, MemorySegment.NULL);
            var _ = (MemorySegment) signal.invokeExact(SIGTERM, MemorySegment.NULL);
        } catch (Throwable e) {
            throw new IllegalStateException("signal(): " + e, e);
        }
    }
}
