package dev.kleinscope.cli;

/** A device, a library or memory that was asked for is not there: exit status 3. The message says why. */
public class UnavailableException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public UnavailableException(String message) {
        super(message);
    }

    public UnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
