package dev.kleinscope.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The kernels' sources: in the jar, and accepted by CUDA's compiler for every architecture, where there is one. */
class KernelSourcesTest {

    private static final Path KERNELS = Path.of("kernels");

    @TempDir
    private Path folder;

    @Test
    void everySourceIsAResource() throws IOException {
        List<Path> sources = sources();
        assertTrue(sources.size() >= 3, sources.toString());
        for (Path source : sources) {
            try (var in = KernelCompiler.class.getResourceAsStream("/kernels/" + source.getFileName())) {
                assertNotNull(in, source + " is not in the class path");
                assertEquals(Files.readString(source), new String(in.readAllBytes(), StandardCharsets.UTF_8), source.toString());
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"sm_80", "sm_89", "sm_90", "sm_100", "sm_120"})
    void nvccCompilesEveryKernel(String architecture) throws IOException, InterruptedException {
        requireNvcc();
        Map<Path, Process> compilations = new LinkedHashMap<>();
        for (Path source : sources()) {
            compilations.put(source, new ProcessBuilder("nvcc", "--cubin", "-arch=" + architecture, "-std=c++17", "-Werror",
                    "all-warnings", "-o", output(source, ".cubin").toString(), source.toString()).redirectErrorStream(true)
                    .redirectOutput(output(source, ".log").toFile()).start());
        }
        for (Map.Entry<Path, Process> compilation : compilations.entrySet()) {
            Path source = compilation.getKey();
            int status = compilation.getValue().waitFor();
            assertEquals(0, status, source + " for " + architecture + ": " + Files.readString(output(source, ".log")));
            assertTrue(Files.size(output(source, ".cubin")) > 0, source + " for " + architecture);
        }
    }

    private Path output(Path source, String ending) {
        return folder.resolve(source.getFileName() + ending);
    }

    private static List<Path> sources() throws IOException {
        try (Stream<Path> files = Files.list(KERNELS)) {
            return files.filter(file -> file.toString().endsWith(".cu")).sorted().toList();
        }
    }

    private static void requireNvcc() throws InterruptedException {
        try {
            new ProcessBuilder("nvcc", "--version").redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start()
                    .waitFor();
        } catch (IOException e) {
            System.err.println("KernelSourcesTest.nvccCompilesEveryKernel is skipped: there is no nvcc");
            abort("no nvcc: " + e.getMessage());
        }
    }
}
