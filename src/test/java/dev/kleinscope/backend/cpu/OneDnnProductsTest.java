package dev.kleinscope.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.ops.Weights;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class OneDnnProductsTest {

    private static final double TOLERANCE = 1e-6;

    @BeforeAll
    static void needsOneDnn() {
        Assumptions.assumeTrue(OneDnnLibrary.isAvailable(), OneDnnLibrary::whyNot);
    }

    private static HostTensor normal(long seed, long... dims) {
        Random random = new Random(seed);
        float[] values = new float[Math.toIntExact(new Shape(dims).elements())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("normal", values, dims);
    }

    private static void assertClose(float[] expected, float[] found, String what) {
        Difference difference = Difference.of(found, expected);
        assertTrue(difference.relativeL2() <= TOLERANCE, what + ": " + difference);
    }

    @Test
    void rowsAreTakenInTheLongestEvenRuns() {
        try (CpuOps ops = new CpuOps(1); Frame _ = ops.frame()) {
            Tensor all = ops.alloc(Shape.of(3, 10, 24));
            assertEquals(new RowRuns(30, 24), RowRuns.of(all));
            assertEquals(new RowRuns(30, 24), RowRuns.of(all.slice(2, 4, 12)));
            assertEquals(new RowRuns(4, 24), RowRuns.of(all.slice(1, 2, 6)));
            assertEquals(new RowRuns(3, 240), RowRuns.of(all.slice(1, 2, 3)));
            assertEquals(1, RowRuns.of(all.slice(0, 1, 2).slice(1, 2, 3)).length());
        }
    }

    @Test
    void slicesOfWiderRowsGiveWhatWholeOnesGive() {
        Linear layer = new Linear(Weights.of(DType.BF16, normal(2, 40, 64)), Weights.of(DType.BF16, normal(3, 40)));
        try (CpuOps ops = new CpuOps(2, Gemm.ONEDNN); CpuOps java = new CpuOps(2); Frame _ = ops.frame(); Frame _ = java.frame()) {
            Tensor wide = ops.input(normal(1, 2, 12, 100));
            Tensor x = wide.slice(1, 3, 9).slice(2, 7, 71);
            Tensor wideOut = ops.alloc(Shape.of(2, 9, 60));
            Tensor out = wideOut.slice(1, 1, 7).slice(2, 11, 51);
            ops.linear(x, layer, out);
            assertClose(java.linear(x, layer).toHost().values(), out.toHost().values(), "slices");
        }
    }

    @Test
    void moreShapesThanAreKeptAreComputedAllTheSame() {
        Linear layer = new Linear(Weights.of(DType.F32, normal(2, 8, 16)));
        HostTensor x = normal(1, 600, 16);
        try (CpuOps ops = new CpuOps(1, Gemm.ONEDNN); Frame _ = ops.frame()) {
            Tensor in = ops.input(x);
            float[] first = ops.linear(in.slice(0, 0, 5), layer).toHost().values();
            for (int rows = 1; rows <= 300; rows++) {
                ops.linear(in.slice(0, 0, rows), layer);
            }
            assertArrayEquals(first, ops.linear(in.slice(0, 0, 5), layer).toHost().values());
        }
    }

    @Test
    void twoRunsGiveTheSameBitsWhoeverCalls() throws InterruptedException {
        Linear layer = new Linear(Weights.of(DType.BF16, normal(2, 384, 1536)));
        try (CpuOps ops = new CpuOps(2, Gemm.ONEDNN); Frame _ = ops.frame()) {
            Tensor x = ops.input(normal(1, 100, 1536));
            float[] once = ops.linear(x, layer).toHost().values();
            AtomicReference<float[]> elsewhere = new AtomicReference<>();
            Thread other = new Thread(() -> elsewhere.set(ops.linear(x, layer).toHost().values()));
            other.start();
            other.join();
            assertArrayEquals(once, elsewhere.get());
            assertArrayEquals(once, ops.linear(x, layer).toHost().values());
        }
    }

    @Test
    void weightsThatOneDnnHasNoTypeForAreMultipliedByOurOwnKernel() {
        Linear layer = new Linear(Weights.of(DType.F64, normal(2, 24, 48)));
        try (CpuOps ops = new CpuOps(2, Gemm.ONEDNN); CpuOps java = new CpuOps(2); Frame _ = ops.frame(); Frame _ = java.frame()) {
            HostTensor x = normal(1, 9, 48);
            assertArrayEquals(java.linear(java.input(x), layer).toHost().values(), ops.linear(ops.input(x), layer).toHost().values());
        }
    }

    @Test
    void attentionGivesTheSameBitsOnAnyNumberOfThreads() {
        HostTensor q = normal(1, 2, 450, 4 * 40);
        HostTensor wide = normal(2, 2, 530, 3 * 80);
        for (AttentionMask mask : new AttentionMask[] {AttentionMask.NONE, new AttentionMask(true, new long[] {530, 300})}) {
            float[] expected = null;
            for (int threads = 1; threads <= 3; threads++) {
                try (CpuOps ops = new CpuOps(threads, Gemm.ONEDNN); Frame _ = ops.frame()) {
                    Tensor in = ops.input(wide);
                    Tensor wideOut = ops.alloc(Shape.of(2, 450, 4 * 40 + 7));
                    Tensor out = wideOut.slice(2, 3, 3 + 4 * 40);
                    for (int run = 0; run < 2; run++) {
                        ops.attention(ops.input(q), in.slice(2, 0, 80), in.slice(2, 160, 240), 4, 2, mask, out);
                        float[] found = out.toHost().values();
                        expected = expected == null ? found : expected;
                        assertArrayEquals(expected, found, threads + " threads, run " + run);
                    }
                }
            }
            try (CpuOps java = new CpuOps(2); Frame _ = java.frame()) {
                Tensor in = java.input(wide);
                assertClose(java.attention(java.input(q), in.slice(2, 0, 80), in.slice(2, 160, 240), 4, 2, mask).toHost().values(), expected,
                        "attention in slices");
            }
        }
    }

    @Test
    void fewScoresAreComputedByOurOwnKernel() {
        HostTensor q = normal(1, 1, 100, 64);
        HostTensor kv = normal(2, 1, 300, 64);
        try (CpuOps ops = new CpuOps(2, Gemm.ONEDNN); CpuOps java = new CpuOps(2); Frame _ = ops.frame(); Frame _ = java.frame()) {
            assertArrayEquals(java.attention(java.input(q), java.input(kv), java.input(kv), 2, 2, AttentionMask.NONE).toHost().values(),
                    ops.attention(ops.input(q), ops.input(kv), ops.input(kv), 2, 2, AttentionMask.NONE).toHost().values());
        }
    }

    @Test
    void anInterruptEndsAProductAndAClosedBackendSaysSo() {
        CpuOps ops = new CpuOps(2, Gemm.ONEDNN);
        Frame _ = ops.frame();
        Tensor x = ops.input(normal(1, 4, 16));
        Tensor out = ops.alloc(Shape.of(4, 8));
        Linear layer = new Linear(Weights.of(DType.F32, normal(2, 8, 16)));
        Thread.currentThread().interrupt();
        assertThrows(RunInterruptedException.class, () -> ops.linear(x, layer, out));
        assertTrue(Thread.interrupted(), "the interrupt status must stay set");
        assertTrue(ops.describe().contains(", products by oneDNN " + OneDnnLibrary.version()), ops.describe());
        Tensor tokens = x.reshape(1, 4, 16);
        Tensor attn = ops.alloc(tokens.shape());
        ops.close();
        ops.close();
        assertThrows(IllegalStateException.class, () -> ops.linear(x, layer, out));
        assertThrows(IllegalStateException.class, () -> ops.attention(tokens, tokens, tokens, 1, 1, AttentionMask.NONE, attn));
    }
}
