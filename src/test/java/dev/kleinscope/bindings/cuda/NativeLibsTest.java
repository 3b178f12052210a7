package dev.kleinscope.bindings.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.FakeLibraries;
import dev.kleinscope.bindings.cuda.cublaslt.CublasLt;
import dev.kleinscope.bindings.cuda.cudnn.Cudnn;
import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NativeLibsTest {

    @Test
    void constantsAreReadWithoutALibrary() {
        assertEquals(2, CudaDriver.CUDA_ERROR_OUT_OF_MEMORY());
        assertEquals(68, CublasLt.CUBLAS_COMPUTE_32F());
        assertEquals(9, Cudnn.CUDNN_DATA_BFLOAT16());
    }

    @ParameterizedTest
    @ValueSource(strings = {"cuda-driver", "nvrtc", "cublaslt", "cublas", "cudnn"})
    void aSearchNamesTheFileItFoundOrWhereItLooked(String library) {
        NativeLibs.Search search = NativeLibs.search(library);
        assertEquals(search.found(), NativeLibs.isAvailable(library));
        if (search.found()) {
            assertTrue(search.file().contains(".so"), search.toString());
        } else {
            assertTrue(search.looked().contains("the loader's path"), search.toString());
            assertTrue(NativeLibs.whyNot(library).contains(".so"), NativeLibs.whyNot(library));
        }
    }

    /** A program for a process of its own: what was opened stays open. */
    static final class Versions {

        private Versions() {
        }

        public static void main(String[] args) {
            System.out.println(Cudnn.cudnnGetVersion() + " " + NativeLibs.search("cudnn").file());
        }
    }

    @Test
    void whatCudnnOpensByNameIsFoundInItsOwnFolder(@TempDir Path home) {
        FakeLibraries.assumeCompiler();
        Path folder = home.resolve("target/cuda-redist");
        FakeLibraries.compile(folder, "libcudnn_graph.so.9", "int graph(void) { return 92500; }");
        // comes before the library that it needs, so that it opens in a second round
        FakeLibraries.compile(folder, "libcudnn_cnn.so.9", "int graph(void); int cnn(void) { return graph(); }",
                folder.resolve("libcudnn_graph.so.9").toString());
        FakeLibraries.compile(folder, "libcudnn.so.9", """
                #include <dlfcn.h>
                unsigned long cudnnGetVersion(void) {
                    void *part = dlopen("libcudnn_cnn.so.9", RTLD_NOW);
                    return part ? ((int (*)(void)) dlsym(part, "cnn"))() : 1;
                }
                """);
        FakeLibraries.Outcome outcome = FakeLibraries.java(home.resolve("nothing"), List.of("kleinscope.home=" + home),
                Versions.class.getName());
        assertEquals("92500 " + folder.resolve("libcudnn.so.9"), outcome.out().strip(), outcome.err());
    }
}
