package dev.kleinscope.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.ops.Weights;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiFunction;
import jdk.incubator.vector.VectorShape;
import org.junit.jupiter.api.Test;

class CpuOpsTest {

    private static HostTensor normal(long seed, long... dims) {
        Random random = new Random(seed);
        float[] values = new float[Math.toIntExact(new Shape(dims).elements())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("normal", values, dims);
    }

    private static float[] run(int threads, HostTensor x, BiFunction<Ops, Tensor, Tensor> op) {
        try (CpuOps ops = new CpuOps(threads); Frame _ = ops.frame()) {
            return op.apply(ops, ops.input(x)).toHost().values();
        }
    }

    /** The rows computed one range at a time must have the bits they have when computed together. */
    private static void rowsStandAlone(HostTensor x, BiFunction<Ops, Tensor, Tensor> op) {
        float[] together = run(2, x, op);
        int rows = (int) x.shape().dim(0);
        int width = together.length / rows;
        for (int size : new int[] {1, 2, 4, 5, 64}) {
            for (int from = 0; from < rows; from += Math.max(size, rows / 7)) {
                int to = Math.min(rows, from + size);
                int first = from;
                float[] alone = run(1, x, (ops, all) -> op.apply(ops, all.slice(0, first, to)));
                assertArrayEquals(Arrays.copyOfRange(together, from * width, to * width), alone, "rows " + from + ".." + to);
            }
        }
    }

    @Test
    void aRowOfALinearLayerDoesNotDependOnItsNeighbours() {
        for (DType type : new DType[] {DType.F32, DType.F16, DType.BF16}) {
            Linear layer = new Linear(Weights.of(type, normal(2, 77, 1543)), Weights.of(type, normal(3, 77)));
            rowsStandAlone(normal(1, 211, 1543), (ops, x) -> ops.linear(x, layer));
        }
    }

    @Test
    void aQueryDoesNotDependOnItsNeighbours() {
        HostTensor keys = normal(2, 1, 301, 64);
        HostTensor values = normal(3, 1, 301, 64);
        rowsStandAlone(normal(1, 101, 64), (ops, q) -> {
            Tensor batch = ops.alloc(Shape.of(1, q.dim(0), 64));
            ops.copy(q, batch.reshape(q.dim(0), 64));
            return ops.attention(batch, ops.input(keys), ops.input(values), 2, 2, AttentionMask.NONE);
        });
    }

    @Test
    void theNumberOfThreadsChangesNoBitOfAPicture() {
        HostTensor x = normal(1, 2, 23, 31, 48);
        Tensor weight = Weights.of(DType.BF16, normal(2, 72, 48, 3, 3));
        Tensor norm = Weights.of(DType.BF16, normal(3, 72));
        BiFunction<Ops, Tensor, Tensor> block = (ops, in) -> {
            Conv2d layer = new Conv2d(ops.convWeight(weight), norm, 1, Conv2d.Padding.around(1));
            return ops.upsampleNearest2x(ops.groupNorm(ops.conv2d(in, layer), norm, norm, 8, 1e-6, true));
        };
        float[] one = run(1, x, block);
        for (int threads : new int[] {2, 3, 8}) {
            assertArrayEquals(one, run(threads, x, block), threads + " threads");
        }
    }

    @Test
    void aConvolvedPixelDoesNotDependOnWhatItDoesNotSee() {
        HostTensor x = normal(1, 1, 40, 41, 130);
        Tensor weight = Weights.of(DType.F32, normal(2, 65, 130, 3, 3));
        BiFunction<Ops, Tensor, Tensor> conv = (ops, in) ->
                ops.conv2d(in, new Conv2d(ops.convWeight(weight), null, 2, Conv2d.Padding.NONE));
        float[] all = run(2, x, conv);
        float[] part = run(3, x, (ops, in) -> conv.apply(ops, in.slice(1, 10, 20).slice(2, 4, 11)));
        samePixels(all, 20, 5, 2, part, 4, 3, 65);
    }

    @Test
    void aConvolvedTileDoesNotDependOnWhatItDoesNotSee() {
        HostTensor x = normal(1, 1, 60, 21, 130);
        Tensor weight = Weights.of(DType.F32, normal(2, 65, 130, 3, 3));
        BiFunction<Ops, Tensor, Tensor> conv = (ops, in) ->
                ops.conv2d(in, new Conv2d(ops.convWeight(weight), null, 1, Conv2d.Padding.NONE));
        float[] all = run(2, x, conv);
        float[] part = run(3, x, (ops, in) -> conv.apply(ops, in.slice(1, 8, 40).slice(2, 4, 18)));
        samePixels(all, 19, 8, 4, part, 28, 12, 65);
    }

    /** Compares the upper left {@code height} lines of {@code width} pixels, all that there are in a line, with those at (top, left). */
    private static void samePixels(float[] all, int allWidth, int top, int left, float[] part, int height, int width, int channels) {
        for (int row = 0; row < height; row++) {
            int from = ((row + top) * allWidth + left) * channels;
            assertArrayEquals(Arrays.copyOfRange(all, from, from + width * channels),
                    Arrays.copyOfRange(part, row * width * channels, (row + 1) * width * channels), "line " + row);
        }
    }

    @Test
    void theNumberOfThreadsChangesNoBit() {
        HostTensor x = normal(1, 2, 190, 384);
        Tensor weight = Weights.of(DType.BF16, normal(2, 384, 384));
        Tensor norm = Weights.of(DType.BF16, normal(3, 128));
        HostTensor angles = normal(4, 190, 64);
        HostTensor vector = normal(5, 2, 384);
        BiFunction<Ops, Tensor, Tensor> block = (ops, in) -> {
            Tensor gate = ops.input(vector);
            Tensor h = ops.layerNormModulate(in, gate, gate, 1e-6);
            Tensor q = ops.linear(h, new Linear(weight));
            Rope rope = new Rope(ops.input(angles), ops.input(angles), Rope.Pairing.ADJACENT);
            Tensor k = ops.rmsNormRope(q, norm, 1e-6, rope);
            Tensor attended = ops.attention(q, k, h, 3, 3, new AttentionMask(true, new long[] {190, 70}));
            Tensor out = ops.alloc(in.shape());
            ops.gatedResidual(in, gate, ops.swiglu(attended, ops.rmsNorm(q, norm, 1e-6)), out);
            return out;
        };
        float[] one = run(1, x, block);
        for (int threads : new int[] {2, 3, 8}) {
            assertArrayEquals(one, run(threads, x, block), threads + " threads");
        }
        assertArrayEquals(one, run(1, x, block), "again");
    }

    @Test
    void theSecondOfTwoEqualStepsTakesNoNewMemory() {
        try (CpuOps ops = new CpuOps(2)) {
            long[] held = new long[2];
            for (int step = 0; step < 2; step++) {
                try (Frame _ = ops.frame()) {
                    Tensor x = ops.input(normal(1, 1, 40, 64));
                    ops.attention(x, ops.silu(x), ops.layerNorm(x, 1e-6), 2, 2, AttentionMask.NONE);
                }
                held[step] = ops.bytesHeld();
            }
            assertEquals(held[0], held[1]);
            assertTrue(ops.peakBytes() > 0 && ops.peakBytes() <= held[0]);
        }
    }

    /** In a process of its own, where nothing else has shaped what the compiler makes of the kernels. */
    @Test
    void aStepAllocatesFewerBytesThanItComputes() throws IOException {
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--add-modules",
                "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-cp", System.getProperty("java.class.path"),
                StepAllocation.class.getName()).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        long least = Long.parseLong(new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip());
        assertTrue(least <= StepAllocation.MOST_BYTES, "a step allocates " + least + " bytes, expected at most " + StepAllocation.MOST_BYTES);
    }

    @Test
    void theExponentialIsWithinTwoUlp() {
        float[] lanes = new float[Lanes.COUNT];
        double worst = 0;
        float worstAt = 0;
        for (float x = -87; x < 88; x += 0.0007f) {
            Lanes.exp(Lanes.broadcast(x)).intoArray(lanes, 0);
            double expected = Math.exp(x);
            double ulps = Math.abs(lanes[0] - expected) / Math.ulp((float) expected);
            if (ulps > worst) {
                worst = ulps;
                worstAt = x;
            }
        }
        assertTrue(worst <= 2, worst + " ulp at " + worstAt);
        Lanes.exp(Lanes.broadcast(Float.NaN)).intoArray(lanes, 0);
        assertTrue(Float.isNaN(lanes[0]));
        Lanes.exp(Lanes.broadcast(Float.NEGATIVE_INFINITY)).intoArray(lanes, 0);
        assertTrue(lanes[0] >= 0 && lanes[0] < 1e-37, "exp(-inf) = " + lanes[0]);
    }

    @Test
    void whatAWorkerThrowsReachesTheCaller() {
        try (Workers workers = new Workers(3)) {
            AtomicInteger ran = new AtomicInteger();
            Workers.Chunk failing = (index, _) -> {
                ran.incrementAndGet();
                if (index == 5) {
                    throw new IllegalStateException("chunk 5");
                }
                // so long that the failure is known before all have run, even if its thread has to wait for a core
                LockSupport.parkNanos(1_000_000);
            };
            var error = assertThrows(IllegalStateException.class, () -> workers.run(1000, failing));
            assertEquals("chunk 5", error.getMessage());
            assertTrue(ran.get() < 1000, ran + " chunks ran after the failure");
            AtomicInteger sum = new AtomicInteger();
            workers.run(100, (index, _) -> sum.addAndGet(index));
            assertEquals(4950, sum.get());
        }
    }

    @Test
    void anInterruptEndsARunningOperationSoon() {
        Thread caller = Thread.currentThread();
        try (Workers workers = new Workers(2)) {
            AtomicInteger ran = new AtomicInteger();
            assertThrows(RunInterruptedException.class, () -> workers.run(1_000_000, (index, _) -> {
                if (ran.incrementAndGet() == 10) {
                    caller.interrupt();
                }
            }));
            assertTrue(ran.get() < 1_000_000, ran + " chunks");
            assertTrue(Thread.interrupted(), "the interrupt status must stay set");
            workers.run(10, (_, _) -> { });
        }
    }

    @Test
    void aClosedBackendSaysSo() {
        CpuOps ops = new CpuOps(2);
        Frame _ = ops.frame();
        Tensor x = ops.alloc(Shape.of(1, 4));
        Tensor out = ops.alloc(Shape.of(1, 4));
        ops.close();
        assertThrows(IllegalStateException.class, () -> ops.alloc(Shape.of(1)));
        assertThrows(IllegalStateException.class, () -> ops.silu(x, out));
        assertThrows(IllegalArgumentException.class, () -> new CpuOps(0));
    }

    @Test
    void theBackendTellsWhatItRunsOn() {
        try (CpuOps ops = new CpuOps(2)) {
            assertEquals("cpu: 2 threads, " + Lanes.BITS + "-bit vectors, Java " + Runtime.version().feature(),
                    ops.describe());
        }
    }

    @Test
    void vectorsAreInUse() {
        assertTrue(VectorShape.preferredShape().vectorBitSize() >= 128, "no vectors on this machine");
        HostTensor x = normal(1, 96, 1024);
        HostTensor weight = normal(2, 96, 1024);
        try (CpuOps ops = new CpuOps(1); Frame _ = ops.frame()) {
            Tensor in = ops.input(x);
            Linear layer = new Linear(ops.input(weight));
            Tensor out = ops.alloc(Shape.of(96, 96));
            float[] scalar = new float[96 * 96];
            double best = 0;
            for (int attempt = 0; attempt < 200 && best < 3; attempt++) {
                long start = System.nanoTime();
                ops.linear(in, layer, out);
                long middle = System.nanoTime();
                scalarLinear(x.values(), weight.values(), 1024, scalar);
                long end = System.nanoTime();
                best = attempt < 20 ? 0 : Math.max(best, (double) (end - middle) / (middle - start));
            }
            assertTrue(best >= 3, "linear is only " + best + " times as fast as a scalar loop: is SIMD off?");
            assertFalse(Float.isNaN(scalar[0]));
        }
    }

    private static void scalarLinear(float[] x, float[] weight, int in, float[] out) {
        int width = weight.length / in;
        for (int i = 0; i < out.length; i++) {
            float sum = 0;
            for (int k = 0; k < in; k++) {
                sum += x[i / width * in + k] * weight[i % width * in + k];
            }
            out[i] = sum;
        }
    }
}
