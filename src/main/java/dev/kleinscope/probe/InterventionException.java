package dev.kleinscope.probe;

/** An intervention that cannot be made: it names what is not there, or does not fit. The message says what to do. */
public final class InterventionException extends IllegalArgumentException {

    private static final long serialVersionUID = 1;

    /** With what is not there or does not fit. */
    public InterventionException(String message) {
        super(message);
    }
}
