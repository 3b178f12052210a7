package dev.kleinscope.ops;

/** The run was asked to stop, and did so between two operations. */
public class RunInterruptedException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public RunInterruptedException(String message) {
        super(message);
    }

    public RunInterruptedException(String message, Throwable cause) {
        super(message, cause);
    }
}
