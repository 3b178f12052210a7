package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.cuda.CudaException;
import dev.kleinscope.backend.cuda.CudaOps;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import dev.kleinscope.ops.Ops;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class BackendOptionsTest {

    private static final String TEXT = Reference.caseFile("text-30").toString();
    private static final String MODEL = Reference.FOLDER.resolve("text-30").toString();

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int validate(String... options) {
        String[] line = new String[options.length + 5];
        System.arraycopy(new String[] {"validate", "-m", MODEL, "--case", TEXT}, 0, line, 0, 5);
        System.arraycopy(options, 0, line, 5, options.length);
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), line);
    }

    @Test
    void cudaWhereItCannotBeUsedIsRefusedWithTheReason() {
        String reason = CudaOps.unavailable();
        assumeTrue(reason != null, "this machine has a GPU");
        assertEquals(ExitCodes.UNAVAILABLE, validate("--backend", "cuda"), out + "\n" + err);
        assertTrue(err.toString().contains("--backend cuda cannot be used here: " + reason), err.toString());
        assertEquals(1, err.toString().strip().lines().filter(line -> !line.isBlank()).count(), err.toString());
    }

    @Test
    void autoSaysWhatItTook() {
        assertEquals(ExitCodes.OK, validate(), out + "\n" + err);
        assertTrue(out.toString().startsWith("backend " + (CudaOps.unavailable() == null ? "cuda: " : "cpu: ")), out.toString());
    }

    @Test
    void bf16WhereTheCpuLacksItIsRefusedWithTheReason() {
        String reason = CpuOps.whyNoBf16();
        assumeTrue(reason != null, "this CPU has bf16 products");
        assertEquals(ExitCodes.UNAVAILABLE, validate("--backend", "cpu", "--precision", "bf16"), out + "\n" + err);
        assertTrue(err.toString().contains("--precision bf16 cannot be used here: " + reason + "; use --precision f32"), err.toString());
        assertEquals(1, err.toString().strip().lines().filter(line -> !line.isBlank()).count(), err.toString());
        assertFalse(out.toString().contains("pass"), out.toString());
    }

    @Test
    void bf16IsRefusedByWhatMultipliesInF32Only() {
        assertEquals(ExitCodes.BAD_INPUT, validate("--backend", "reference", "--precision", "bf16"), out + "\n" + err);
        assertTrue(err.toString().contains("--precision bf16 needs --backend cuda or cpu, but reference was chosen"), err.toString());
        assumeTrue(OneDnnLibrary.isAvailable(), OneDnnLibrary::whyNot);
        assertEquals(ExitCodes.BAD_INPUT, validate("--backend", "cpu", "--gemm", "java", "--precision", "bf16"), out + "\n" + err);
        assertTrue(err.toString().contains("--gemm java multiplies in f32: choose --precision f32"), err.toString());
    }

    @Test
    void unaskedTheCpuMultipliesInBf16WhereItCanButChecksInF32() {
        try (Ops ops = options("--backend", "cpu").open()) {
            assertEquals(CpuOps.whyNoBf16() == null, ops.describe().contains("products in bf16 by oneDNN"), ops.describe());
        }
        BackendOptions checking = options("--backend", "cpu");
        try (Ops ops = checking.open(Precision.F32)) {
            assertFalse(ops.describe().contains("bf16 by"), ops.describe());
            assertEquals("f32", checking.precision());
        }
    }

    @Test
    void aPictureIsDrawnAgainInThePrecisionThatDrewIt() {
        BackendOptions bf16 = options();
        bf16.restore("cpu", null, "onednn", "bf16");
        if (CpuOps.whyNoBf16() == null) {
            bf16.open().close();
            assertEquals("bf16", bf16.precision());
        } else {
            assertTrue(assertThrows(UnavailableException.class, bf16::open).getMessage().contains(CpuOps.whyNoBf16()));
        }
        BackendOptions f32 = options();
        f32.restore("cpu", null, null, null);
        f32.open().close();
        assertEquals("f32", f32.precision());
        BackendOptions chosen = options("--precision", "f32");
        chosen.restore("cpu", null, "java", "bf16");
        chosen.open().close();
        assertEquals("f32", chosen.precision());
        BackendOptions elsewhere = options("--backend", "reference");
        elsewhere.restore("cuda", null, null, "bf16");
        elsewhere.open().close();
        assertEquals("f32", elsewhere.precision());
    }

    private static BackendOptions options(String... line) {
        BackendOptions options = new BackendOptions();
        new CommandLine(options).parseArgs(line);
        return options;
    }

    @Test
    void diffusersRoundingIsRefusedWhereNothingIsRoundedToBf16() {
        assertEquals(ExitCodes.BAD_INPUT, validate("--backend", "cpu", "--compat", "diffusers"), out + "\n" + err);
        assertTrue(err.toString().contains("--compat diffusers needs --backend cuda, but cpu was chosen"), err.toString());
        assertEquals(ExitCodes.BAD_INPUT, validate("--backend", "cuda", "--precision", "f32", "--compat", "diffusers"), out + "\n" + err);
        assertTrue(err.toString().contains("f32 was chosen: add --precision bf16"), err.toString());
        assertFalse(out.toString().contains("pass"), out.toString());
    }

    @Test
    void aLibraryThatGetsNoMemoryIsNoDefect() {
        Failures failure = Failures.of(new IllegalStateException(new CudaException("cuModuleLoadData", 2,
                "CUDA_ERROR_OUT_OF_MEMORY, out of memory", "rows.cu")), false);
        assertEquals(ExitCodes.UNAVAILABLE, failure.exitCode());
        assertTrue(failure.message().contains("cuModuleLoadData") && failure.message().contains("--backend cpu"), failure.message());
        assertEquals(ExitCodes.DEFECT, Failures.of(new CudaException("cuLaunchKernel", 1, "CUDA_ERROR_INVALID_VALUE", ""), true).exitCode());
    }
}
