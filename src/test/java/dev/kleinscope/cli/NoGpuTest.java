package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.kleinscope.FakeLibraries;
import dev.kleinscope.FakeLibraries.Outcome;
import dev.kleinscope.Reference;
import dev.kleinscope.bindings.cuda.NativeLibs;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is said where a GPU cannot be used: one sentence, and exit status 3. The driver and libraries are pretended. */
class NoGpuTest {

    private static final long GIB = 1L << 30;

    @TempDir
    private Path libraries;

    @BeforeEach
    void requireNoLibraries() {
        FakeLibraries.assumeCompiler();
        assumeFalse(NativeLibs.isAvailable("cuda-driver") || NativeLibs.isAvailable("cudnn"),
                "this machine has NVIDIA's driver or cuDNN, which would be found where none is pretended");
    }

    private Outcome kleinscope(String... arguments) {
        return FakeLibraries.java(libraries, List.of(), Main.class.getName(), arguments);
    }

    private Outcome validate(String... options) {
        String[] line = new String[options.length + 5];
        System.arraycopy(new String[] {"validate", "-m", Reference.FOLDER.resolve("text-30").toString(), "--case",
                Reference.caseFile("text-30").toString()}, 0, line, 0, 5);
        System.arraycopy(options, 0, line, 5, options.length);
        return kleinscope(line);
    }

    private static void refused(Outcome outcome, String... words) {
        assertEquals(ExitCodes.UNAVAILABLE, outcome.status(), outcome.toString());
        List<String> said = outcome.err().lines().filter(line -> line.startsWith("kleinscope:") || line.contains("backend")).toList();
        assertEquals(1, said.size(), outcome.err());
        for (String word : words) {
            assertTrue(said.getFirst().contains(word), "\"" + word + "\" in: " + outcome.err());
        }
    }

    @Test
    void aMissingDriverIsSaidInOneSentence() {
        refused(validate("--backend", "cuda"), "the NVIDIA driver is not installed", "libcuda.so.1", "kleinscope doctor",
                "install NVIDIA's driver", "--backend cpu");
    }

    @Test
    void anOldDriverIsSaidBeforeAMissingLibrary() {
        FakeLibraries.driver(libraries, 12020, 8 * GIB, 8 * GIB);
        refused(validate("--backend", "cuda"), "the NVIDIA driver is for CUDA 12.2, but 13.0 or later is needed", "update the driver");
    }

    @Test
    void aMissingToolkitNamesTheLibraryAndTheRemedy() {
        FakeLibraries.driver(libraries, 13000, 8 * GIB, 8 * GIB);
        FakeLibraries.nvrtc(libraries);
        refused(validate("--backend", "cuda"), "cuBLASLt is not installed", "-Pcuda-redist");
    }

    @Test
    void aMissingCudnnNamesTheOptionThatDoesWithout() {
        driverAndToolkit(8 * GIB);
        refused(validate("--backend", "cuda", "--precision", "bf16"), "cuDNN is not installed", "libcudnn.so.9", "--no-cudnn");
    }

    @Test
    void autoSaysWhyItLeavesTheGpuIdle() {
        driverAndToolkit(8 * GIB);
        Outcome outcome = kleinscope("encode", "-p", "red", "--max-tokens", "16", "-o", libraries.resolve("red.safetensors").toString());
        assertEquals(ExitCodes.OK, outcome.status(), outcome.toString());
        assertTrue(outcome.err().contains("backend cpu: "), outcome.err());
        assertTrue(outcome.err().contains("not on the GPU: cuDNN is not installed"), outcome.err());
    }

    @Test
    void autoTakesTheHostWhereTheGpuHasNoMemoryToBegin() {
        driverAndToolkit(1 << 20);
        FakeLibraries.cudnn(libraries);
        Outcome outcome = kleinscope("encode", "-p", "red", "--max-tokens", "16", "-o", libraries.resolve("red.safetensors").toString());
        assertEquals(ExitCodes.OK, outcome.status(), outcome.toString());
        assertTrue(outcome.err().contains("backend cpu: "), outcome.err());
        assertTrue(outcome.err().contains("not on the GPU: ") && outcome.err().contains("of memory on Pretend GPU"), outcome.err());
    }

    @Test
    void withoutCudnnTheOptionAndF32GetAsFarAsTheGpusMemory() {
        driverAndToolkit(1 << 20);
        refused(validate("--backend", "cuda", "--precision", "bf16", "--no-cudnn"), "of memory on Pretend GPU");
        refused(validate("--backend", "cuda", "--precision", "f32"), "of memory on Pretend GPU");
    }

    @Test
    void tooLittleMemoryTellsWhatIsNeededWhatThereIsAndWhatHelps() {
        driverAndToolkit(1 << 20);
        FakeLibraries.cudnn(libraries);
        refused(validate("--backend", "cuda", "--precision", "bf16"), " needs ", "of memory on Pretend GPU, of whose 8.0 GiB", "1.0 MiB are free", "nvidia-smi",
                "--backend cpu");
    }

    @Test
    void doctorTellsVersionsAndFiles() {
        driverAndToolkit(8 * GIB);
        FakeLibraries.cudnn(libraries);
        Outcome outcome = kleinscope("doctor");
        assertEquals(ExitCodes.OK, outcome.status(), outcome.toString());
        for (String row : List.of("CUDA driver  for CUDA 13.0, " + libraries.resolve("libcuda.so.1"),
                "cuBLASLt     13.1.0, " + libraries.resolve("libcublasLt.so.13"),
                "cuDNN        9.19.0, " + libraries.resolve("libcudnn.so.9"),
                "NVRTC        13.0, " + libraries.resolve("libnvrtc.so.13"),
                "GPU          Pretend GPU, compute capability 9.0, 8.0 GiB", "auto uses cuda")) {
            assertTrue(outcome.out().contains(row), "\"" + row + "\" in: " + outcome.out());
        }
    }

    @Test
    void doctorTellsWhereItLookedForWhatIsMissing() {
        driverAndToolkit(8 * GIB);
        Outcome outcome = kleinscope("doctor");
        assertEquals(ExitCodes.OK, outcome.status(), outcome.toString());
        assertTrue(outcome.out().contains("cuDNN        not found: looked for libcudnn.so.9 in " + libraries + ", "), outcome.out());
        assertTrue(outcome.out().contains("auto uses cpu, since cuDNN is not installed"), outcome.out());
        assertFalse(outcome.out().contains("GPU          none"), outcome.out());
    }

    private void driverAndToolkit(long free) {
        FakeLibraries.driver(libraries, 13000, free, 8 * GIB);
        FakeLibraries.cublasLt(libraries);
        FakeLibraries.nvrtc(libraries);
    }
}
