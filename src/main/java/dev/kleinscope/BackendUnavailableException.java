package dev.kleinscope;

/** A backend that was asked for cannot be used on this machine. The message says why, in one sentence. */
public final class BackendUnavailableException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    /**
     * Says what was asked for and why it cannot be had.
     *
     * @param message for people
     * @param cause what the backend said, or null
     */
    public BackendUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
