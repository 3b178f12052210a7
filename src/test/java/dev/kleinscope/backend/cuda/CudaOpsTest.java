package dev.kleinscope.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.OpsContract;
import dev.kleinscope.ops.Repeated;
import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.ops.WeightGroup;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.DrawnStorage;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Needs a GPU; {@link CudaContractRun} runs it without JUnit's engine. */
class CudaOpsTest {

    /** Tokens from which on two pairs of heads are left to cuDNN. */
    private static final int LARGE = 1031;

    private final Random random = new Random(11);

    @BeforeAll
    static void requireGpu() {
        CudaOpsContractTest.requireGpu();
    }

    @Test
    void whatIsSeenMayBeChangedWhereItLiesAlsoInBFloat16() {
        try (CudaOps ops = new CudaOps(Precision.BF16); Frame _ = ops.frame()) {
            OpsContract.changeWhereItLies(ops);
        }
    }

    @Test
    void anotherThreadIsRefusedAndBothAreNamed() throws InterruptedException {
        try (CudaOps ops = new CudaOps(Precision.F32); Frame _ = ops.frame()) {
            Tensor x = ops.input(normal(2, 3));
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread other = Thread.ofPlatform().name("the other").start(() -> {
                try {
                    x.toHost();
                } catch (IllegalStateException e) {
                    thrown.set(e);
                }
            });
            other.join();
            assertTrue(thrown.get() != null && thrown.get().getMessage().contains("the other")
                    && thrown.get().getMessage().contains(Thread.currentThread().getName()), String.valueOf(thrown.get()));
        }
    }

    @Test
    void tooLittleMemorySaysHowMuchIsNeededAndWhatLowersIt() {
        try (CudaOps ops = new CudaOps(Precision.F32); Frame _ = ops.frame()) {
            Shape shape = Shape.of(1L << 20, 1L << 20);
            String message = assertThrows(CudaUnavailableException.class, () -> ops.alloc(shape)).getMessage();
            assertTrue(message.contains("4096.0 GiB") && message.contains("--size"), message);
            assertEquals(3, ops.input(normal(3)).toHost().values().length);
        }
    }

    @Test
    void theWeightsOfAGroupGoBackToTheDriver() {
        Tensor matrix = Tensor.of("w", DType.F32, Shape.of(1 << 13, 1 << 13), new HostStorage(Arena.ofAuto().allocate(256L << 20, 64)));
        try (CudaOps ops = new CudaOps(Precision.F32)) {
            Tensor[] weight = new Tensor[1];
            ops.weight(weight(8, 8));
            long before = ops.freeBytes();
            WeightGroup group = ops.weightGroup("a model", 1L << 26, () -> weight[0] = ops.weight(matrix));
            long during = ops.freeBytes();
            assertSame(weight[0], ops.weight(matrix));
            group.close();
            long after = ops.freeBytes();
            System.out.printf("free: %d MiB, %d MiB with 256 MiB of weights, %d MiB without%n", before >> 20, during >> 20, after >> 20);
            assertEquals(256 << 20, before - during);
            assertEquals(before, after);
            assertFalse(group.hold());
            assertTrue(assertThrows(IllegalStateException.class, weight[0]::toHost).getMessage().contains("the end of a model"));
            assertEquals(1 << 13, ops.weight(matrix).dim(0));
        }
    }

    @Test
    void theSecondOfTwoEqualStepsAllocatesNothing() {
        try (CudaOps ops = new CudaOps(Precision.BF16)) {
            Linear layer = new Linear(ops.weight(weight(64, 64)));
            long after = 0;
            for (int step = 0; step < 5; step++) {
                try (Frame _ = ops.frame()) {
                    Tensor x = ops.linear(ops.input(normal(1, 70, 64)), layer);
                    ops.attention(x, x, x, 2, 2, AttentionMask.NONE).toHost();
                }
                assertTrue(step == 0 || ops.activationBytes() == after, after + " bytes, then " + ops.activationBytes());
                after = ops.activationBytes();
            }
        }
    }

    @Test
    void largeAttentionInBf16AgreesWithF32AlsoOnSlicesOfWiderRows() {
        HostTensor qkv = normal(2, LARGE, 3 * 128);
        float[] expected;
        try (CudaOps ops = new CudaOps(Precision.F32); Frame _ = ops.frame()) {
            expected = attention(ops, ops.input(qkv));
        }
        try (CudaOps ops = new CudaOps(Precision.BF16); Frame _ = ops.frame()) {
            Tensor x = ops.alloc(qkv.shape());
            assertEquals(DType.BF16, x.dtype());
            ops.copy(ops.input(qkv), x);
            float[] found = attention(ops, x);
            Difference difference = Difference.of(found, expected);
            assertTrue(difference.relativeL2() < 8e-3, difference.toString());
            assertArrayEquals(found, attention(ops, x), "a second run");
        }
    }

    @Test
    void attentionSharesInBf16AreThoseOfTheRoundedQueriesAndKeys() {
        HostTensor q = normal(1, 130, 2 * 40);
        HostTensor k = normal(1, 130, 2 * 40);
        int[] groups = new int[130];
        Arrays.fill(groups, 60, 130, 1);
        float[] found;
        HostTensor roundedQ;
        HostTensor roundedK;
        try (CudaOps ops = new CudaOps(Precision.BF16); Frame _ = ops.frame()) {
            Tensor bq = ops.alloc(q.shape());
            Tensor bk = ops.alloc(k.shape());
            ops.copy(ops.input(q), bq);
            ops.copy(ops.input(k), bk);
            assertEquals(DType.BF16, bq.dtype());
            Tensor shares = ops.attentionShares(bq, bk, 2, groups, 2);
            assertEquals(DType.F32, shares.dtype());
            found = shares.toHost().values();
            roundedQ = bq.toHost();
            roundedK = bk.toHost();
        }
        try (ReferenceOps ops = new ReferenceOps(); Frame _ = ops.frame()) {
            float[] expected = ops.attentionShares(ops.input(roundedQ), ops.input(roundedK), 2, groups, 2).toHost().values();
            Difference difference = Difference.of(found, expected);
            assertTrue(difference.relativeL2() < 1e-6, difference.toString());
        }
    }

    private static float[] attention(CudaOps ops, Tensor qkv) {
        Tensor wide = ops.alloc(Shape.of(2, LARGE, 256));
        Tensor out = wide.slice(2, 128, 256);
        ops.attention(qkv.slice(2, 0, 128), qkv.slice(2, 128, 256), qkv.slice(2, 256, 384), 2, 2, AttentionMask.NONE, out);
        return out.toHost().values();
    }

    @Test
    void weightsDrawnOnTheDeviceAreThoseDrawnOnTheHost() {
        short[] table = new short[DrawnStorage.TABLE];
        for (int i = 0; i < table.length; i++) {
            table[i] = BFloat16.fromFloat((float) random.nextGaussian());
        }
        try (CudaOps ops = new CudaOps(Precision.BF16)) {
            for (long rows : new long[] {1, 2, 613, 4099}) {
                Tensor drawn = Tensor.of("drawn", DType.BF16, Shape.of(rows, 1027),
                        DrawnStorage.of(table, DrawnStorage.key(7, "drawn." + rows)));
                assertArrayEquals(drawn.toHost().values(), ops.weight(drawn).toHost().values(), rows + " rows");
                Tensor part = drawn.slice(0, rows / 3, rows);
                assertArrayEquals(part.toHost().values(), ops.weight(part).toHost().values(), "from row " + rows / 3);
            }
            Tensor vector = Tensor.of("vector", DType.BF16, Shape.of(1029), DrawnStorage.of(table, -3));
            assertArrayEquals(vector.toHost().values(), ops.weight(vector).toHost().values(), "converted to f32");
            Tensor ones = Tensor.of("ones", DType.BF16, Shape.of(3, 5), DrawnStorage.constant(BFloat16.fromFloat(1)));
            assertArrayEquals(new float[] {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, ops.weight(ones).toHost().values());
            Tensor kernel = Tensor.of("kernel", DType.BF16, Shape.of(3, 2, 1, 1), DrawnStorage.of(table, 5));
            assertArrayEquals(kernel.toHost().values(), ops.convWeight(kernel).toHost().values(), "a kernel of one pixel");
        }
    }

    void attentionInBf16AgreesWithTheReferenceForEveryMaskHeadAndPlacement() {
        AttentionMask[] masks = {AttentionMask.NONE, new AttentionMask(true, null), new AttentionMask(true, new long[] {37, 0}),
            new AttentionMask(false, new long[] {11, 300})};
        try (CudaOps ops = new CudaOps(Precision.BF16); ReferenceOps reference = new ReferenceOps()) {
            for (int tokens : new int[] {1, 63, 65, 257}) {
                for (int headDim : new int[] {8, 20, 40, 64, 96, 128}) {
                    for (int i = 0; i < masks.length; i++) {
                        // slices of wider rows: on 16 bytes, and beside them
                        agrees(ops, reference, tokens, headDim, i % 2 + 1, masks[i], 8);
                        agrees(ops, reference, tokens, headDim, 2 - i % 2, masks[i], 3);
                    }
                }
            }
        }
    }

    private void agrees(CudaOps ops, ReferenceOps reference, int tokens, int headDim, int kvHeads, AttentionMask mask, int offset) {
        try (Frame _ = ops.frame(); Frame _ = reference.frame()) {
            Tensor q = bf16(ops, tokens, 2 * headDim, offset);
            Tensor k = bf16(ops, tokens, kvHeads * headDim, offset);
            Tensor v = bf16(ops, tokens, kvHeads * headDim, offset);
            Tensor wide = ops.alloc(Shape.of(2, tokens + 2, 2 * headDim + 16));
            float[] sevens = new float[(int) wide.shape().elements()];
            Arrays.fill(sevens, 7);
            ops.copy(ops.input(HostTensor.of("sevens", sevens, wide.shape().dims())), wide);
            Tensor out = wide.slice(1, 1, 1 + tokens).slice(2, offset, offset + 2 * headDim);
            ops.attention(q, k, v, 2, kvHeads, mask, out);
            float[] expected = reference.attention(reference.input(q.toHost()), reference.input(k.toHost()),
                    reference.input(v.toHost()), 2, kvHeads, mask).toHost().values();
            Difference difference = Difference.of(out.toHost().values(), expected);
            String label = tokens + " tokens, 2/" + kvHeads + " heads of " + headDim + ", causal " + mask.causal() + ", valid "
                    + Arrays.toString(mask.validKeys()) + ", from " + offset + ": " + difference;
            assertTrue(difference.relativeL2() < 6e-3, label);
            float[] around = wide.toHost().values();
            for (int i = 0; i < around.length; i++) {
                int column = i % (2 * headDim + 16) - offset;
                int row = i / (2 * headDim + 16) % (tokens + 2) - 1;
                assertTrue(around[i] == 7 || column >= 0 && column < 2 * headDim && row >= 0 && row < tokens, label + ", wrote at " + i);
            }
        }
    }

    /** Random values as a slice of wider rows. */
    private Tensor bf16(CudaOps ops, int tokens, int channels, int offset) {
        Tensor wide = ops.alloc(Shape.of(2, tokens, channels + 16));
        ops.copy(ops.input(normal(2, tokens, channels + 16)), wide);
        return wide.slice(2, offset, offset + channels);
    }

    @Test
    void aResidualTakenAlongByTheNormThatFollowsHasTheSameBitsAsAlone() {
        for (Rounding rounding : Rounding.values()) {
            try (CudaOps ops = new CudaOps(Precision.BF16, false, rounding); Frame _ = ops.frame()) {
                for (int hidden : new int[] {8, 64, 520, 3072, 16384}) {
                    Tensor x = bf16(ops, normal(2, 35, hidden));
                    Tensor gate = ops.input(normal(2, hidden));
                    Tensor scale = ops.input(normal(2, hidden));
                    Tensor shift = ops.input(normal(2, hidden));
                    Tensor alone = ops.alloc(x.shape());
                    Tensor together = ops.alloc(x.shape());
                    Tensor aloneNorm;
                    Tensor togetherNorm;
                    HostTensor update = normal(2, 35, hidden);
                    ops.gatedResidual(x, gate, bf16(ops, update), alone);
                    float[] expected = alone.toHost().values();
                    aloneNorm = ops.layerNormModulate(alone, scale, shift, 1e-6);
                    try (Frame _ = ops.frame()) {
                        // the update ends before the norm
                        ops.gatedResidual(x, gate, bf16(ops, update), together);
                    }
                    togetherNorm = ops.layerNormModulate(together, scale, shift, 1e-6);
                    assertArrayEquals(aloneNorm.toHost().values(), togetherNorm.toHost().values(), "norm, " + hidden);
                    assertArrayEquals(expected, together.toHost().values(), "sum, " + hidden);
                }
            }
        }
    }

    @Test
    void blocksThatAreWatchedOrRecordedHaveTheSameBitsAndEachSeesTheOneBefore() {
        for (Precision precision : Precision.values()) {
            try (CudaOps ops = new CudaOps(precision); Frame _ = ops.frame()) {
                Linear layer = new Linear(ops.weight(weight(64, 64)));
                for (int time = 0; time < 5; time++) {
                    List<Tensor> inputs = List.of(ops.input(normal(2, 35, 64)), ops.input(normal(2, 64)));
                    List<float[]> expected = new ArrayList<>();
                    float[] plain = blocks(ops, inputs, layer, (point, tensor) -> expected.add(tensor.toHost().values())).toHost().values();
                    List<float[]> seen = new ArrayList<>();
                    Tensor[] before = new Tensor[1];
                    Tensor watched = ops.repeat("watched", inputs, (point, tensor) -> {
                        if (before[0] != null) {
                            assertArrayEquals(seen.getLast(), before[0].toHost().values(), "the one before " + point);
                        }
                        before[0] = tensor;
                        seen.add(tensor.toHost().values());
                    }, (in, watcher) -> blocks(ops, in, layer, watcher));
                    Tensor unwatched = ops.repeat("unwatched", inputs, (point, tensor) -> { },
                            (in, _) -> blocks(ops, in, layer, (point, tensor) -> { }));
                    assertArrayEquals(plain, watched.toHost().values(), precision + " watched, time " + time);
                    assertArrayEquals(plain, unwatched.toHost().values(), precision + " unwatched, time " + time);
                    assertEquals(4, seen.size());
                    for (int block = 0; block < seen.size(); block++) {
                        assertArrayEquals(expected.get(block), seen.get(block), precision + " block " + block + ", time " + time);
                    }
                }
            }
        }
    }

    /** Norm, product and gated residual, four times; each stream is released when the next is there. */
    private static Tensor blocks(CudaOps ops, List<Tensor> inputs, Linear layer, Repeated.Watcher watcher) {
        try (Frame outer = ops.frame()) {
            Tensor modulation = inputs.get(1);
            Tensor x = ops.alloc(inputs.getFirst().shape());
            ops.copy(inputs.getFirst(), x);
            for (int i = 0; i < 4; i++) {
                Tensor next;
                try (Frame inner = ops.frame()) {
                    Tensor h = ops.layerNormModulate(x, modulation, modulation, 1e-6);
                    Tensor y = ops.linear(h, layer);
                    next = ops.alloc(x.shape());
                    ops.gatedResidual(x, modulation, y, next);
                    inner.escape(next);
                    watcher.saw("block " + i, next);
                }
                outer.release(x);
                x = next;
            }
            return outer.escape(ops.layerNorm(x, 1e-6));
        }
    }

    private static Tensor bf16(CudaOps ops, HostTensor values) {
        Tensor out = ops.alloc(values.shape());
        ops.copy(ops.input(values), out);
        return out;
    }

    @Test
    void aConvolutionInPiecesAgreesWithOneInASlice() {
        Tensor weight = weight(24, 16, 3, 3);
        HostTensor x = normal(1, 33, 29, 16);
        try (CudaOps ops = new CudaOps(Precision.F32); Frame _ = ops.frame()) {
            Conv2d layer = new Conv2d(ops.convWeight(weight), null, 1, Conv2d.Padding.around(1));
            Tensor whole = ops.conv2d(ops.input(x), layer);
            Tensor wide = ops.alloc(Shape.of(1, 33, 29, 30));
            Tensor slice = wide.slice(3, 3, 27);
            ops.conv2d(ops.input(x), layer, slice);
            Difference difference = Difference.of(whole.toHost().values(), slice.toHost().values());
            assertTrue(difference.relativeL2() < 1e-6, difference.toString());
        }
    }

    @Test
    void convolutionsInBf16AgreeWithF32() {
        Conv2d.Padding around = Conv2d.Padding.around(1);
        convolution(57, 61, 64, 72, 3, 1, around, true, true);
        convolution(57, 61, 64, 72, 3, 1, around, false, true);
        convolution(57, 61, 64, 72, 3, 1, around, true, false);
        convolution(64, 62, 128, 64, 3, 2, new Conv2d.Padding(0, 0, 1, 1), true, false);
        convolution(64, 63, 136, 48, 1, 1, Conv2d.Padding.NONE, true, true);
        convolution(63, 65, 256, 3, 3, 1, around, true, false);
        convolution(65, 63, 3, 128, 3, 1, around, true, false);
        convolution(63, 61, 36, 100, 3, 1, around, true, true);
        convolution(5, 7, 16, 8, 3, 1, around, true, true);
        convolution(33, 29, 64, 64, 3, 1, new Conv2d.Padding(2, 0, 1, 3), false, false);
        convolution(128, 128, 256, 256, 3, 1, around, true, true);
    }

    private void convolution(int height, int width, int in, int out, int size, int stride, Conv2d.Padding padding, boolean biased,
            boolean onto) {
        Tensor weight = scaled(1 / Math.sqrt(in * size * size), out, in, size, size);
        Tensor bias = biased ? weight(out) : null;
        HostTensor x = normal(2, height, width, in);
        Conv2d shaped = new Conv2d(Tensor.of("w", DType.F32, Shape.of(out, size, size, in), weight.storage()), null, stride, padding);
        HostTensor added = normal(shaped.outShape(x.shape()).dims());
        agrees("conv2d " + x.shape() + " to " + added.shape() + " biased " + biased + " onto " + onto, (ops, inputs) -> {
            Conv2d layer = new Conv2d(ops.convWeight(weight), bias == null ? null : ops.weight(bias), stride, padding);
            return onto ? ops.conv2dAdded(inputs[0], layer, inputs[1]) : ops.conv2d(inputs[0], layer);
        }, x, added);
    }

    @Test
    void groupNormAndUpsamplingInBf16AgreeWithF32AlsoInsideLargerPictures() {
        for (int[] sizes : new int[][] {{64, 32}, {128, 32}, {256, 32}, {512, 32}, {64, 64}, {48, 16}, {2056, 1}, {20, 4}}) {
            Tensor weight = weight(sizes[0]);
            Tensor bias = weight(sizes[0]);
            HostTensor x = normal(2, 23, 19, sizes[0]);
            for (boolean silu : new boolean[] {false, true}) {
                agrees("groupNorm of " + x.shape() + " in " + sizes[1], (ops, inputs) -> ops.groupNorm(inputs[0],
                        ops.weight(weight), ops.weight(bias), sizes[1], 1e-6, silu), x);
                agrees("groupNorm inside " + x.shape() + " in " + sizes[1], (ops, inputs) -> {
                    Tensor inside = inputs[0].slice(1, 3, 20).slice(2, 1, 18);
                    return ops.upsampleNearest2x(ops.groupNorm(inside, ops.weight(weight), ops.weight(bias), sizes[1], 1e-6, silu));
                }, x);
            }
        }
    }

    @Test
    void attentionOfLargeHeadsInBf16AgreesWithF32() {
        for (int[] sizes : new int[][] {{77, 77, 1, 1, 512}, {130, 37, 2, 1, 264}, {3, 1, 1, 1, 200}, {9000, 9001, 1, 1, 136}}) {
            HostTensor q = normal(1, sizes[0], sizes[2] * sizes[4]);
            HostTensor kv = normal(1, sizes[1], 2 * sizes[3] * sizes[4]);
            long half = kv.shape().dim(2) / 2;
            agrees("attention " + Arrays.toString(sizes), (ops, inputs) -> ops.attention(inputs[0],
                    inputs[1].slice(2, 0, half), inputs[1].slice(2, half, 2 * half), sizes[2], sizes[3], AttentionMask.NONE), q, kv);
        }
    }

    private interface Computation {
        Tensor of(CudaOps ops, Tensor[] inputs);
    }

    /** In bf16, of inputs rounded to it, as in f32 up to some roundings; and the same bits twice. */
    private static void agrees(String label, Computation computation, HostTensor... inputs) {
        float[] expected;
        try (CudaOps ops = new CudaOps(Precision.F32); Frame _ = ops.frame()) {
            expected = computation.of(ops, Arrays.stream(inputs).map(ops::input).toArray(Tensor[]::new)).toHost().values();
        }
        try (CudaOps ops = new CudaOps(Precision.BF16); Frame _ = ops.frame()) {
            Tensor[] rounded = Arrays.stream(inputs).map(input -> {
                Tensor tensor = ops.alloc(input.shape());
                ops.copy(ops.input(input), tensor);
                return tensor;
            }).toArray(Tensor[]::new);
            float[] found = computation.of(ops, rounded).toHost().values();
            Difference difference = Difference.of(found, expected);
            assertTrue(difference.relativeL2() < 8e-3, label + ": " + difference);
            assertArrayEquals(found, computation.of(ops, rounded).toHost().values(), label + ": a second run");
        }
    }

    private Tensor scaled(double factor, long... dims) {
        float[] values = normal(dims).values();
        for (int i = 0; i < values.length; i++) {
            values[i] *= (float) factor;
        }
        return Tensor.of("w", DType.F32, new Shape(dims), new HostStorage(MemorySegment.ofArray(values)));
    }

    @Test
    void aFreedTensorSaysWhatFreedIt() {
        try (CudaOps ops = new CudaOps(Precision.F32)) {
            Tensor x;
            try (Frame _ = ops.frame()) {
                x = ops.input(normal(4));
            }
            assertTrue(assertThrows(IllegalStateException.class, x::toHost).getMessage().contains("frame 1 of cuda"));
            assertTrue(x.toString().contains("freed by"), x.toString());
        }
    }

    @Test
    void aTensorLookedAtWhileAGraphIsRecordedSaysSoAndTheGraphIsRight() {
        try (CudaOps ops = new CudaOps(Precision.BF16); Frame _ = ops.frame()) {
            HostTensor values = normal(1, 5, 64);
            List<String> shown = new ArrayList<>();
            List<HostTensor> results = new ArrayList<>();
            for (int time = 0; time < 4; time++) {
                results.add(ops.repeat("looked at", List.of(ops.input(values)), (point, tensor) -> { }, (in, watcher) -> {
                    try (Frame frame = ops.frame()) {
                        Tensor y = ops.silu(in.getFirst());
                        shown.add(y.toString());
                        return frame.escape(ops.addScaled(y, y, 2));
                    }
                }).toHost());
            }
            assertEquals(2, shown.size(), shown.toString());
            assertTrue(shown.get(0).contains("|x|="), shown.get(0));
            assertTrue(shown.get(1).contains("recorded into a CUDA graph: to look at them, start with --debug"), shown.get(1));
            for (HostTensor result : results) {
                assertArrayEquals(results.getFirst().values(), result.values());
            }
        }
    }

    @Test
    void aTensorLookedAtOnAnotherThreadSaysWhoseItIs() throws InterruptedException {
        try (CudaOps ops = new CudaOps(Precision.F32); Frame _ = ops.frame()) {
            Tensor x = ops.input(normal(4));
            AtomicReference<String> shown = new AtomicReference<>();
            Thread other = new Thread(() -> shown.set(x.toString()));
            other.start();
            other.join();
            assertTrue(shown.get().startsWith("x f32[4] cuda:0 (values not readable: the cuda backend belongs to thread "), shown.get());
        }
    }

    private HostTensor normal(long... dims) {
        float[] values = new float[(int) new Shape(dims).elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("x", values, dims);
    }

    private Tensor weight(long... dims) {
        return Tensor.of("w", DType.F32, new Shape(dims), new HostStorage(MemorySegment.ofArray(normal(dims).values())));
    }
}
