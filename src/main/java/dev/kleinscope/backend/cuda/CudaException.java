package dev.kleinscope.backend.cuda;

/** A call of a CUDA library that failed. */
public final class CudaException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    private final String call;
    private final int code;
    private final String name;
    private final String shapes;

    /**
     * @param call the function, such as {@code cublasLtMatmul}
     * @param code what it returned
     * @param name the library's name for the code, and what else it says
     * @param shapes what it was called on; may be empty
     */
    public CudaException(String call, int code, String name, String shapes) {
        super(call + " failed with " + code + " (" + name + ")" + (shapes.isEmpty() ? "" : " on " + shapes));
        this.call = call;
        this.code = code;
        this.name = name;
        this.shapes = shapes;
    }

    public String call() {
        return call;
    }

    public int code() {
        return code;
    }

    public String name() {
        return name;
    }

    /** Whether memory was not to be had, which is no defect: the libraries say so in the code's name. */
    public boolean outOfMemory() {
        return name.contains("OUT_OF_MEMORY") || name.contains("ALLOC");
    }

    public String shapes() {
        return shapes;
    }
}
