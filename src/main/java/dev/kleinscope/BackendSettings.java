package dev.kleinscope;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.cpu.Gemm;
import dev.kleinscope.backend.cuda.CudaOps;
import dev.kleinscope.backend.cuda.CudaUnavailableException;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.backend.cuda.Rounding;
import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.DType;

/**
 * Which backend is to compute, and how: the one place where a backend is chosen and opened, for the command line and for
 * {@link Kleinscope} alike. Messages name settings as the command line's options do.
 *
 * @param backend which one
 * @param precision arithmetic, or null for the backend's own: bf16 on a GPU and where the processor multiplies in it, else f32
 * @param gemm what multiplies matrices on the cpu backend, or null for oneDNN where it can be used
 * @param cudnn whether attention and convolutions on a GPU are cuDNN's rather than our own kernels'
 * @param rounding where a bf16 run rounds
 * @param threads of the cpu backend, or null for one each processor
 */
public record BackendSettings(Backend backend, Precision precision, Gemm gemm, boolean cudnn, Rounding rounding, Integer threads) {

    /** The GPU where there is one, else the processor, each as it is fastest. */
    public static final BackendSettings AUTO = new BackendSettings(Backend.AUTO, null, null, true, Rounding.OURS, null);

    /** Settings that contradict each other, or that the backend found here does not have. */
    public static final class Contradiction extends IllegalArgumentException {

        private static final long serialVersionUID = 1L;

        private Contradiction(String message) {
            super(message);
        }
    }

    /**
     * Opens the backend.
     *
     * @return what is in use; the caller closes it, or its operations
     * @throws Contradiction if the settings do not go together
     * @throws BackendUnavailableException if the backend is not to be had here, with the reason
     */
    public OpenedBackend open() {
        String whyNoGpu = backend == Backend.AUTO ? CudaOps.unavailable(precision == null ? Precision.BF16 : precision, !cudnn) : null;
        Backend used = backend != Backend.AUTO ? backend : whyNoGpu == null ? Backend.CUDA : Backend.CPU;
        check(used, whyNoGpu);
        if (used == Backend.CUDA) {
            Precision arithmetic = precision == null ? Precision.BF16 : precision;
            try {
                return new OpenedBackend(new CudaOps(arithmetic, !cudnn, rounding), Backend.CUDA, arithmetic, null, null);
            } catch (CudaUnavailableException e) {
                if (backend != Backend.AUTO || rounding != Rounding.OURS) {
                    throw new BackendUnavailableException((backend == Backend.AUTO ? "the GPU" : "--backend cuda")
                            + " cannot be used here: " + e.getMessage(), e);
                }
                whyNoGpu = e.getMessage();
                used = Backend.CPU;
            }
        }
        return used == Backend.REFERENCE ? new OpenedBackend(new ReferenceOps(), used, Precision.F32, null, null) : openCpu(whyNoGpu);
    }

    private void check(Backend used, String whyNoGpu) {
        String found = backend == Backend.AUTO ? "found" + (whyNoGpu == null ? "" : ": " + whyNoGpu) : "chosen";
        if (used == Backend.REFERENCE && precision == Precision.BF16) {
            throw new Contradiction("--precision bf16 needs --backend cuda or cpu, but reference was chosen");
        }
        if (used != Backend.CUDA && rounding != Rounding.OURS) {
            throw new Contradiction("--compat " + rounding + " needs --backend cuda, but " + used + " was " + found);
        }
        if (used != Backend.CPU && gemm != null) {
            throw new Contradiction("--gemm " + gemm + " needs --backend cpu, but " + used + " was " + found);
        }
        if (rounding != Rounding.OURS && precision == Precision.F32) {
            throw new Contradiction("--compat " + rounding + " is about rounding to bf16, but f32 was chosen: add --precision bf16");
        }
    }

    private OpenedBackend openCpu(String whyNoGpu) {
        if (gemm == Gemm.ONEDNN && !OneDnnLibrary.isAvailable()) {
            throw new BackendUnavailableException("--gemm onednn cannot be used here: " + OneDnnLibrary.whyNot()
                    + "; --gemm java computes the same more slowly", null);
        }
        Gemm multiplies = gemm != null ? gemm : OneDnnLibrary.isAvailable() ? Gemm.ONEDNN : Gemm.JAVA;
        if (precision == Precision.BF16) {
            requireBf16(multiplies, whyNoGpu);
        }
        Precision arithmetic = precision != null ? precision
                : multiplies == Gemm.ONEDNN && CpuOps.whyNoBf16() == null ? Precision.BF16 : Precision.F32;
        Ops ops = new CpuOps(threads == null ? Runtime.getRuntime().availableProcessors() : threads, multiplies,
                arithmetic == Precision.BF16 ? DType.BF16 : DType.F32);
        return new OpenedBackend(ops, Backend.CPU, arithmetic, multiplies, whyNoGpu);
    }

    private static void requireBf16(Gemm multiplies, String whyNoGpu) {
        if (multiplies == Gemm.JAVA && OneDnnLibrary.isAvailable()) {
            throw new Contradiction("--gemm java multiplies in f32: choose --precision f32, or --gemm onednn for bf16");
        }
        String whyNot = CpuOps.whyNoBf16();
        if (whyNot != null) {
            throw new BackendUnavailableException("--precision bf16 cannot be used here: "
                    + (whyNoGpu == null ? "" : "not on a GPU, since " + whyNoGpu + "; and not on the CPU, since ") + whyNot
                    + "; use --precision f32", null);
        }
    }
}
