package dev.kleinscope.ops;

/** The memory of this machine, or what of it may be used, does not suffice. The message says what does. */
public final class MemoryShortageException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public MemoryShortageException(String message) {
        super(message);
    }
}
