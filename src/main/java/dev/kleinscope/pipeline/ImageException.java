package dev.kleinscope.pipeline;

/** An image that cannot be read, written or used; the message is one sentence that names it and says what to do. */
public final class ImageException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public ImageException(String message) {
        super(message);
    }

    public ImageException(String message, Throwable cause) {
        super(message, cause);
    }
}
