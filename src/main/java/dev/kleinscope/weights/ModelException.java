package dev.kleinscope.weights;

/** A model on disk that is missing, damaged or not what was asked for; the message names the file and what to do. */
public class ModelException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public ModelException(String message) {
        super(message);
    }

    public ModelException(String message, Throwable cause) {
        super(message, cause);
    }
}
