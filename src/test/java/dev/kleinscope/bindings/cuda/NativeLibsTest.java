package dev.kleinscope.bindings.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.bindings.cuda.cublaslt.CublasLt;
import dev.kleinscope.bindings.cuda.cudnn.Cudnn;
import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import org.junit.jupiter.api.Test;
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
}
