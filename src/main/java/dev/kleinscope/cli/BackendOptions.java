package dev.kleinscope.cli;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.cpu.Gemm;
import dev.kleinscope.backend.cuda.CudaOps;
import dev.kleinscope.backend.cuda.CudaUnavailableException;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.backend.cuda.Rounding;
import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.bindings.cuda.NativeLibs;
import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import dev.kleinscope.ops.Ops;
import java.util.Arrays;
import java.util.Locale;
import picocli.CommandLine.Option;

/** Which backend a command runs on. */
final class BackendOptions {

    /** The backends there are. */
    enum Backend {
        AUTO, CPU, CUDA, REFERENCE;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Whose rounding a run can take over. */
    enum Compat {
        DIFFUSERS;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Option(names = "--backend", paramLabel = "B", defaultValue = "auto",
            description = "Where to compute: ${COMPLETION-CANDIDATES}. auto, the default, takes cuda where a GPU and its "
                    + "libraries can be used, else cpu; reference is plain loops, for checking.")
    private Backend backend;

    @Option(names = "--no-cudnn", description = "Compute attention and convolutions on a GPU by our own kernels, more slowly, where "
            + "cuDNN is not installed.")
    private boolean noCudnn;

    @Option(names = "--compat", paramLabel = "PEER", description = "Round to bf16 wherever a bf16 run of that peer does, beginning with the "
            + "timestep: ${COMPLETION-CANDIDATES}. For comparing with such a run; needs bf16 on a GPU.")
    private Compat compat;

    @Option(names = "--gemm", paramLabel = "G", description = "What multiplies matrices on the cpu backend: ${COMPLETION-CANDIDATES}. "
            + "Default: onednn where it can be used, as doctor tells, else java.")
    private Gemm gemm;

    private Integer threads;
    private Backend used;
    private String whyNoGpu;
    private Precision arithmetic = Precision.F32;

    /** How many threads the cpu backend opens with, the caller's included; null for one each processor. */
    void threads(Integer count) {
        threads = count;
    }

    /** Opens it, in bf16 on a GPU; the caller closes it. @throws UnavailableException if it is not to be had here */
    Ops open() {
        return open(null);
    }

    /**
     * Opens it; the caller closes it.
     *
     * @param precision arithmetic, or null for the backend's own
     * @throws UnavailableException if the backend is not to be had here, with the reason
     */
    Ops open(Precision precision) {
        used = backend;
        if (backend == Backend.AUTO) {
            whyNoGpu = CudaOps.unavailable(precision == null ? Precision.BF16 : precision, noCudnn);
            used = whyNoGpu == null ? Backend.CUDA : Backend.CPU;
        }
        if (used != Backend.CUDA && precision == Precision.BF16) {
            throw new UserInputException("--precision bf16 needs --backend cuda, but " + used + " was "
                    + (backend == Backend.AUTO ? "found: " + whyNoGpu : "chosen"));
        }
        if (compat != null && used != Backend.CUDA) {
            throw new UserInputException("--compat " + compat + " needs --backend cuda, but " + used + " was "
                    + (backend == Backend.AUTO ? "found: " + whyNoGpu : "chosen"));
        }
        if (gemm != null && used != Backend.CPU) {
            throw new UserInputException("--gemm " + gemm + " needs --backend cpu, but " + used + " was "
                    + (backend == Backend.AUTO ? "found" : "chosen"));
        }
        if (compat != null && precision == Precision.F32) {
            throw new UserInputException("--compat " + compat + " is about rounding to bf16, but f32 was chosen: add --precision bf16");
        }
        if (used == Backend.CUDA) {
            arithmetic = precision == null ? Precision.BF16 : precision;
            try {
                return new CudaOps(arithmetic, noCudnn, compat == null ? Rounding.OURS : Rounding.DIFFUSERS);
            } catch (CudaUnavailableException e) {
                if (backend != Backend.AUTO || precision == Precision.BF16 || compat != null) {
                    throw new UnavailableException((backend == Backend.AUTO ? "the GPU" : "--backend cuda") + " cannot be used here: "
                            + e.getMessage());
                }
                whyNoGpu = e.getMessage();
                used = Backend.CPU;
                arithmetic = Precision.F32;
            }
        }
        return switch (used) {
            case REFERENCE -> new ReferenceOps();
            default -> openCpu();
        };
    }

    private Ops openCpu() {
        if (gemm == Gemm.ONEDNN && !OneDnnLibrary.isAvailable()) {
            throw new UnavailableException("--gemm onednn cannot be used here: " + OneDnnLibrary.whyNot()
                    + "; --gemm java computes the same more slowly");
        }
        if (gemm == null) {
            gemm = OneDnnLibrary.isAvailable() ? Gemm.ONEDNN : Gemm.JAVA;
        }
        return threads == null ? new CpuOps(gemm) : new CpuOps(threads, gemm);
    }

    /** What the run computes on, for people: also that a machine's GPU is left idle, and why. */
    String describe(Ops ops) {
        return ops.describe() + (whyNoGpu == null || !NativeLibs.isAvailable("cuda-driver") ? "" : " (not on the GPU: " + whyNoGpu + ")");
    }

    /** Takes up what an image's metadata recorded, unless the user chose. */
    void restore(String recorded, String recordedCompat, String recordedGemm) {
        if (compat == null && recordedCompat != null) {
            compat = Arrays.stream(Compat.values()).filter(known -> known.toString().equals(recordedCompat)).findFirst()
                    .orElseThrow(() -> new UserInputException("the image was drawn with --compat " + recordedCompat
                            + ", which this version does not know"));
        }
        boolean same = backend == Backend.AUTO || backend.toString().equals(recorded);
        if (gemm == null && same && recorded.equals("cpu")) {
            // what records none was drawn when there was no other
            String name = recordedGemm == null ? Gemm.JAVA.toString() : recordedGemm;
            gemm = Arrays.stream(Gemm.values()).filter(known -> known.toString().equals(name)).findFirst()
                    .orElseThrow(() -> new UserInputException("the image was drawn with --gemm " + name
                            + ", which this version does not know"));
        }
        if (backend == Backend.AUTO) {
            backend = switch (recorded) {
                case "reference" -> Backend.REFERENCE;
                case "cpu" -> Backend.CPU;
                case "cuda" -> Backend.CUDA;
                default -> throw new UserInputException("the image was drawn on backend \"" + recorded
                        + "\", which is not here; choose another with --backend, for a picture that is close but not the same");
            };
        }
    }

    /** Whose rounding was asked for, or null. */
    String compat() {
        return compat == null ? null : compat.toString();
    }

    /** What multiplies matrices on the cpu backend; null on another. */
    String gemm() {
        return used == Backend.CPU ? gemm.toString() : null;
    }

    /** The arithmetic of the one that was opened. */
    String precision() {
        return arithmetic.toString();
    }

    /** The name of the one that was opened. */
    String name() {
        return used.toString();
    }
}
