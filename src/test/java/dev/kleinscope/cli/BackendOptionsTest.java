package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.backend.cuda.CudaException;
import dev.kleinscope.backend.cuda.CudaOps;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;

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
    void bf16IsRefusedOnTheHost() {
        assertEquals(ExitCodes.BAD_INPUT, validate("--backend", "cpu", "--precision", "bf16"), out + "\n" + err);
        assertTrue(err.toString().contains("--precision bf16 needs --backend cuda"), err.toString());
        assertFalse(out.toString().contains("pass"), out.toString());
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
