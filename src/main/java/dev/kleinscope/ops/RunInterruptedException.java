package dev.kleinscope.ops;

/** The thread that called an operation was interrupted; its result is incomplete. The interrupt status stays set. */
public final class RunInterruptedException extends RuntimeException {

    private static final long serialVersionUID = 1;

    public RunInterruptedException(String message) {
        super(message);
    }
}
