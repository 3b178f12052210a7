package dev.kleinscope.weights;

/**
 * A model that cannot be used as it is. The message names the file and the tensor, says what was expected and what was
 * found, and what to do; it is meant to be printed without a stack trace.
 */
public final class ModelException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public ModelException(String message) {
        super(message);
    }

    public ModelException(String message, Throwable cause) {
        super(message, cause);
    }
}
