package dev.kleinscope.cli;

import dev.kleinscope.Backend;
import dev.kleinscope.BackendSettings;
import dev.kleinscope.BackendUnavailableException;
import dev.kleinscope.OpenedBackend;
import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.cpu.Gemm;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.backend.cuda.Rounding;
import dev.kleinscope.ops.Ops;
import java.util.Arrays;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Which backend a command runs on. */
final class BackendOptions {

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

    @Option(names = "--precision", paramLabel = "P", description = "Arithmetic: ${COMPLETION-CANDIDATES}. On the cpu backend bf16 is that of "
            + "linear layers on tokens and convolutions, where weights are in BF16; all else is f32. Default: bf16 where the backend "
            + "has it, as doctor tells, else f32; validate and the original protocols take f32.")
    private Precision precision;

    @Mixin
    private MemoryOptions memory = new MemoryOptions();

    private Integer threads;
    private OpenedBackend opened;

    /** How many threads the cpu backend opens with, the caller's included; null for one each processor. */
    void threads(Integer count) {
        threads = count;
    }

    /** The same choices, as far as they concern it, for another backend. Not to be asked for once one was opened. */
    BackendOptions on(Backend other) {
        BackendOptions options = new BackendOptions();
        options.backend = other;
        options.noCudnn = noCudnn;
        options.compat = other == Backend.CUDA ? compat : null;
        options.gemm = other == Backend.CPU ? gemm : null;
        options.precision = other == Backend.REFERENCE ? null : precision;
        options.memory = other == Backend.CPU ? memory : new MemoryOptions();
        return options;
    }

    /** Opens it, in bf16 where that is to be had, unless told; the caller closes it. @throws UnavailableException as the other */
    Ops open() {
        return open(null);
    }

    /**
     * Opens it; the caller closes it.
     *
     * @param unasked arithmetic where the user chose none, or null for the backend's own
     * @throws UnavailableException if the backend or the arithmetic is not to be had here, with the reason
     */
    Ops open(Precision unasked) {
        if (backend != Backend.AUTO) {
            requireFor(backend);
        }
        try {
            opened = new BackendSettings(backend, precision != null ? precision : unasked, gemm, !noCudnn,
                    compat == null ? Rounding.OURS : Rounding.DIFFUSERS, threads).open();
        } catch (BackendSettings.Contradiction e) {
            throw new UserInputException(e.getMessage(), e);
        } catch (BackendUnavailableException e) {
            throw new UnavailableException(e.getMessage(), e);
        }
        if (opened.ops() instanceof CpuOps cpu) {
            return memory.apply(cpu);
        }
        try {
            requireFor(opened.backend());
        } catch (UserInputException e) {
            opened.close();
            throw e;
        }
        return opened.ops();
    }

    private void requireFor(Backend used) {
        if (memory.given() != null && used != Backend.CPU) {
            throw new UserInputException(memory.given() + " needs --backend cpu, but " + used + " was "
                    + (backend == Backend.AUTO ? "found" : "chosen"));
        }
    }

    /** Tells at the end of a run what its memory was short of. */
    void noteReads(Console console) {
        memory.noteReads(console);
    }

    /** What the run computes on, for people: also that a machine's GPU is left idle, and why. */
    String describe(Ops ops) {
        return ops.describe() + opened.idleGpu();
    }

    /** Takes up what an image's metadata recorded, unless the user chose. */
    void restore(String recorded, String recordedCompat, String recordedGemm, String recordedPrecision) {
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
        if (precision == null && same) {
            String name = recordedPrecision == null ? recorded.equals("cuda") ? "bf16" : "f32" : recordedPrecision;
            precision = Arrays.stream(Precision.values()).filter(known -> known.toString().equals(name)).findFirst()
                    .orElseThrow(() -> new UserInputException("the image was drawn with --precision " + name
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
        return opened.gemm() == null ? null : opened.gemm().toString();
    }

    /** The arithmetic of the one that was opened. */
    String precision() {
        return opened.precision().toString();
    }

    /** The name of the one that was opened. */
    String name() {
        return opened.backend().toString();
    }
}
