package dev.kleinscope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Shared libraries of a few lines of C in the place of NVIDIA's, and programs that run with them in a process of their own. */
public final class FakeLibraries {

    /** A driver of one GPU that counts its memory and computes nothing; {@code VERSION}, {@code FREE} and {@code TOTAL} are to be defined. */
    private static final String DRIVER = """
            #include <string.h>
            int cuDriverGetVersion(int *v) { *v = VERSION; return 0; }
            int cuInit(unsigned f) { return 0; }
            int cuDeviceGetCount(int *n) { *n = 1; return 0; }
            int cuDeviceGet(int *d, int i) { *d = i; return 0; }
            int cuDeviceGetName(char *s, int n, int d) { strncpy(s, "Pretend GPU", n); return 0; }
            int cuDeviceTotalMem_v2(unsigned long *b, int d) { *b = TOTAL; return 0; }
            int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 9 : a == 76 ? 0 : 1; return 0; }
            int cuDevicePrimaryCtxRetain(void **c, int d) { *c = (void *) 64; return 0; }
            int cuDevicePrimaryCtxRelease_v2(int d) { return 0; }
            int cuCtxSetCurrent(void *c) { return 0; }
            int cuCtxGetCurrent(void **c) { *c = (void *) 64; return 0; }
            int cuStreamCreate(void **s, unsigned f) { *s = (void *) 128; return 0; }
            int cuStreamDestroy_v2(void *s) { return 0; }
            int cuStreamSynchronize(void *s) { return 0; }
            static unsigned long sizes[4096], count, held;
            int cuMemGetInfo_v2(unsigned long *f, unsigned long *t) { *f = FREE - held; *t = TOTAL; return 0; }
            int cuMemAlloc_v2(unsigned long *p, unsigned long b) {
                if (held + b > FREE || count == 4096) return 2;
                held += b; sizes[count] = b; *p = 4096 * ++count; return 0;
            }
            int cuMemFree_v2(unsigned long p) { held -= sizes[p / 4096 - 1]; return 0; }
            static char pinned[64 << 20]; static unsigned long used;
            int cuMemHostAlloc(void **p, unsigned long b, unsigned f) { *p = pinned + used; used += b; return used > sizeof pinned ? 2 : 0; }
            int cuMemFreeHost(void *p) { return 0; }
            int cuEventCreate(void **e, unsigned f) { *e = (void *) 192; return 0; }
            int cuEventDestroy_v2(void *e) { return 0; }
            int cuGetErrorName(int c, const char **s) { *s = "CUDA_ERROR_PRETENDED"; return 0; }
            int cuGetErrorString(int c, const char **s) { *s = "pretended"; return 0; }
            """;

    private static final String CUBLASLT = """
            unsigned long cublasLtGetVersion(void) { return 130100; }
            int cublasLtCreate(void **h) { *h = (void *) 64; return 0; }
            int cublasLtDestroy(void *h) { return 0; }
            """;

    private static final String NVRTC = "int nvrtcVersion(int *a, int *b) { *a = 13; *b = 0; return 0; }";

    private static final String CUDNN = """
            unsigned long cudnnGetVersion(void) { return 91900; }
            int cudnnCreate(void **h) { *h = (void *) 64; return 0; }
            int cudnnSetStream(void *h, void *s) { return 0; }
            int cudnnDestroy(void *h) { return 0; }
            """;

    private FakeLibraries() {
    }

    /** What a process left. */
    public record Outcome(int status, String out, String err) {
    }

    /** Skips the test, with a word, where there is no C compiler. */
    public static void assumeCompiler() {
        boolean found = false;
        for (String folder : System.getenv().getOrDefault("PATH", "").split(":")) {
            found |= Files.isExecutable(Path.of(folder, "cc"));
        }
        assumeTrue(found && System.getProperty("os.name").equals("Linux"), "no cc on the PATH of a Linux: pretended libraries are not tested");
    }

    /** A driver for CUDA {@code version} (13000 is 13.0) and a GPU with so many bytes of memory. */
    public static void driver(Path folder, int version, long free, long total) {
        compile(folder, "libcuda.so.1", DRIVER, "-DVERSION=" + version, "-DFREE=" + free + "ul", "-DTOTAL=" + total + "ul");
    }

    public static void cublasLt(Path folder) {
        compile(folder, "libcublasLt.so.13", CUBLASLT);
    }

    public static void nvrtc(Path folder) {
        compile(folder, "libnvrtc.so.13", NVRTC);
    }

    public static void cudnn(Path folder) {
        compile(folder, "libcudnn.so.9", CUDNN);
    }

    /** Compiles a shared library whose name for the loader is its file's. */
    public static void compile(Path folder, String file, String code, String... options) {
        try {
            Files.createDirectories(folder);
            Path source = Files.writeString(folder.resolve(file + ".c"), code);
            List<String> command = new ArrayList<>(List.of("cc", "-shared", "-fPIC", "-w", "-Wl,-soname," + file, "-Wl,--no-as-needed",
                    "-o", folder.resolve(file).toString(), source.toString()));
            command.addAll(List.of(options));
            Outcome outcome = run(command, Map.of());
            assertEquals(0, outcome.status(), outcome.err());
            Files.delete(source);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /** Runs a class of this class path in a JVM that sees the libraries of {@code folder} first. */
    public static Outcome java(Path folder, List<String> properties, String main, String... arguments) {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Dkleinscope.home=" + Path.of("").toAbsolutePath(), "-Dkleinscope.cuda.libs=" + folder));
        properties.forEach(property -> command.add("-D" + property));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), main));
        command.addAll(List.of(arguments));
        return run(command, Map.of("LD_LIBRARY_PATH", ""));
    }

    private static Outcome run(List<String> command, Map<String, String> environment) {
        try {
            Path out = Files.createTempFile("fake", ".out");
            Path err = Files.createTempFile("fake", ".err");
            ProcessBuilder builder = new ProcessBuilder(command).redirectOutput(out.toFile()).redirectError(err.toFile());
            builder.environment().putAll(environment);
            Process process = builder.start();
            assertTrue(process.waitFor(120, TimeUnit.SECONDS), "still running after two minutes: " + command);
            Outcome outcome = new Outcome(process.exitValue(), Files.readString(out, StandardCharsets.UTF_8),
                    Files.readString(err, StandardCharsets.UTF_8));
            Files.delete(out);
            Files.delete(err);
            return outcome;
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
