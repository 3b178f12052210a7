package dev.kleinscope;

import dev.kleinscope.backend.cpu.Gemm;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.bindings.cuda.NativeLibs;
import dev.kleinscope.ops.Ops;

/**
 * A backend in use, and how the choice fell.
 *
 * @param ops its operations; closed with this
 * @param backend which one: never {@link Backend#AUTO}
 * @param precision its arithmetic
 * @param gemm what multiplies matrices on the cpu backend; null on another
 * @param whyNoGpu why {@link Backend#AUTO} did not take the GPU, in one sentence; null if it did or was not asked
 */
public record OpenedBackend(Ops ops, Backend backend, Precision precision, Gemm gemm, String whyNoGpu) implements AutoCloseable {

    /**
     * What is computed on, for people: also that a machine's GPU is left idle, and why.
     *
     * @return one line
     */
    public String describe() {
        return ops.describe() + idleGpu();
    }

    /**
     * Why this machine's GPU is left idle.
     *
     * @return in parentheses, to follow what is used; empty if there is none or it is used
     */
    public String idleGpu() {
        return whyNoGpu == null || !NativeLibs.isAvailable("cuda-driver") ? "" : " (not on the GPU: " + whyNoGpu + ")";
    }

    /** Closes its operations. */
    @Override
    public void close() {
        ops.close();
    }
}
