package dev.kleinscope.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SmallLinearTest {

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "5, 7, 3", "33, 64, 192", "700, 255, 257"})
    void eachNumberIsTheSumInF64RoundedOnce(int rows, int in, int width) {
        float[] x = random(1, rows * in);
        float[] weight = random(2, width * in);
        float[] bias = random(3, width);
        for (float[] added : new float[][] {null, bias}) {
            float[] found = linear(2, x, weight, added, rows, in, width);
            for (int i = 0; i < rows; i++) {
                for (int j = 0; j < width; j++) {
                    double sum = 0;
                    for (int k = 0; k < in; k++) {
                        sum += (double) x[i * in + k] * weight[j * in + k];
                    }
                    assertEquals((float) (added == null ? sum : sum + added[j]), found[i * width + j], "row " + i + ", column " + j);
                }
            }
        }
    }

    @Test
    void aRowsBitsDependNeitherOnOtherRowsNorOnTheNumberOfThreads() {
        int in = 200;
        int width = 300;
        float[] x = random(4, 90 * in);
        float[] weight = random(5, width * in);
        float[] all = linear(3, x, weight, null, 90, in, width);
        assertArrayEquals(all, linear(1, x, weight, null, 90, in, width));
        float[] last = new float[in];
        System.arraycopy(x, 89 * in, last, 0, in);
        float[] expected = new float[width];
        System.arraycopy(all, 89 * width, expected, 0, width);
        assertArrayEquals(expected, linear(2, last, weight, null, 1, in, width));
    }

    private static float[] linear(int threads, float[] x, float[] weight, float[] bias, int rows, int in, int width) {
        try (CpuOps ops = new CpuOps(threads, Gemm.JAVA); Workers workers = new Workers(threads); Frame _ = ops.frame()) {
            Tensor out = ops.alloc(Shape.of(rows, width));
            Linear layer = new Linear(ops.input(HostTensor.of("weight", weight, width, in)),
                    bias == null ? null : ops.input(HostTensor.of("bias", bias, width)));
            SmallLinear.run(workers, ops.input(HostTensor.of("x", x, rows, in)), layer, out);
            return out.toHost().values();
        }
    }

    private static float[] random(int seed, int count) {
        Random random = new Random(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
