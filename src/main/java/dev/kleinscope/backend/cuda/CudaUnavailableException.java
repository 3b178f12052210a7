package dev.kleinscope.backend.cuda;

/** There is no GPU that can be used, a library is missing, or memory does not suffice. The message is one sentence to print. */
public final class CudaUnavailableException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public CudaUnavailableException(String message) {
        super(message);
    }
}
