package dev.kleinscope.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * What every backend must do, measured against the reference on odd shapes.
 *
 * <p>Each case runs on whole tensors and on slices of larger ones; the surroundings of the output hold a sentinel that
 * must survive, and the inputs must keep their bits.
 */
public abstract class OpsContract {

    private static final float SENTINEL = -12345f;
    private static final int[] TOKENS = {1, 3, 17, 35};

    private final ReferenceOps reference = new ReferenceOps();
    private final Random random = new Random(7);
    private Ops ops;
    private Frame frame;
    private Frame referenceFrame;

    /** The backend under test; closed afterwards. */
    protected abstract Ops create();

    /** Largest relative L2 error against the reference. */
    protected abstract double tolerance();

    /** An operation on inputs that lie wherever the test put them. */
    private interface Op {
        void apply(Ops ops, Tensor[] inputs, Tensor out);
    }

    @BeforeEach
    void open() {
        ops = create();
        frame = ops.frame();
        referenceFrame = reference.frame();
    }

    @AfterEach
    void close() {
        frame.close();
        ops.close();
        referenceFrame.close();
        reference.close();
    }

    @Test
    void linearMatchesForAllWeightTypesAndDepths() {
        for (int in : new int[] {1, 7, 64, 100, 513, 1030}) {
            for (int tokens : TOKENS) {
                DType[] types = {DType.F32, DType.BF16, DType.F16, DType.F64};
                DType type = types[(in + tokens) % types.length];
                linear(tokens, in, 29, type, tokens % 2 == 1);
            }
        }
        for (DType type : new DType[] {DType.F32, DType.BF16, DType.F16, DType.F64}) {
            linear(5, 96, 24, type, false);
        }
    }

    @Test
    void linearMatchesForDeepAndTallInputs() {
        linear(17, 3072, 50, DType.BF16, false);
        linear(401, 72, 31, DType.BF16, true);
        linear(2, 40, 5000, DType.F16, true);
    }

    @Test
    void linearMatchesForManyRowsOfOddSizes() {
        linear(401, 517, 203, DType.BF16, true);
        linear(230, 1029, 97, DType.F32, false);
        linear(1601, 258, 395, DType.F16, true);
    }

    @Test
    void layersOfOneInputAreAsOneAfterAnother() {
        for (int tokens : TOKENS) {
            List<Tensor> mapped = List.of(weight(DType.BF16, 24, 40), weight(DType.BF16, 8, 40), weight(DType.BF16, 17, 40));
            Tensor x = ops.input(normal(2, tokens, 40));
            List<Linear> together = ops.weights(mapped).stream().map(Linear::new).toList();
            Tensor out = ops.linear(x, together);
            long from = 0;
            for (Tensor weight : mapped) {
                HostTensor alone = ops.linear(x, new Linear(ops.weight(weight))).toHost();
                Difference difference = Difference.of(out.slice(-1, from, from + weight.dim(0)).toHost().values(), alone.values());
                assertTrue(difference.relativeL2() <= tolerance(), difference.toString());
                from += weight.dim(0);
            }
            assertEquals(from, out.dim(-1));
        }
    }

    @Test
    void whatIsRepeatedFollowsItsInputsAndShowsWhatIsWatched() {
        Linear layer = new Linear(ops.weight(weight(DType.BF16, 48, 48)));
        List<Tensor> seen = new ArrayList<>();
        try (HostBuffer buffer = ops.hostBuffer(2 * 35 * 48 * Double.BYTES)) {
            for (int time = 0; time < 6; time++) {
                HostTensor x = normal(2, 35, 48);
                HostTensor y = normal(2, 35, 48);
                Map<String, HostTensor> plain = new LinkedHashMap<>();
                Map<String, HostTensor> repeated = new LinkedHashMap<>();
                seen.clear();
                try (Frame _ = ops.frame()) {
                    HostTensor expected = recurring(ops, ops.input(x), ops.input(y), layer,
                            (point, tensor) -> plain.put(point, tensor.toHost())).toHost();
                    DType[] type = new DType[1];
                    Tensor found = ops.repeat("recurring", List.of(ops.input(x), ops.input(y)), (point, tensor) -> {
                        repeated.put(point, tensor.toHost());
                        seen.add(tensor);
                        if (point.equals("silu")) {
                            ops.download(tensor, buffer.segment());
                            type[0] = tensor.dtype();
                        }
                    }, (inputs, watcher) -> recurring(ops, inputs.get(0), inputs.get(1), layer, watcher));
                    assertArrayEquals(expected.values(), found.toHost().values(), "time " + time);
                    ops.finish();
                    float[] downloaded = new float[2 * 35 * 48];
                    new HostStorage(buffer.segment()).read(type[0], 0, downloaded.length, downloaded, 0);
                    assertArrayEquals(plain.get("silu").values(), downloaded, "downloaded, time " + time);
                }
                assertEquals(List.of("silu", "linear"), List.copyOf(repeated.keySet()), "time " + time);
                plain.forEach((point, values) -> assertArrayEquals(values.values(), repeated.get(point).values(), point));
                seen.forEach(tensor -> assertThrows(IllegalStateException.class, tensor::toHost));
            }
        }
    }

    @Test
    void sumsThatAWatcherQueuesAreThoseOfEachTime() {
        Linear layer = new Linear(ops.weight(weight(DType.BF16, 48, 48)));
        Shape rows = Shape.of(2, 35, 6);
        long bytes = DType.F32.bytes(rows.elements());
        try (HostBuffer first = ops.hostBuffer(4096 + 2 * bytes); HostBuffer second = ops.hostBuffer(4096 + 2 * bytes)) {
            for (int time = 0; time < 7; time++) {
                HostBuffer buffer = time < 4 ? first : second;
                int[] bounds = time == 6 ? new int[] {1, 35} : new int[] {0, 34};
                HostTensor x = normal(2, 35, 48);
                HostTensor y = normal(2, 35, 48);
                try (Frame _ = ops.frame()) {
                    List<float[]> expected = new ArrayList<>();
                    recurring(ops, ops.input(x), ops.input(y), layer, (_, tensor) -> {
                        expected.add(ops.rowMoments(tensor, tensor).toHost().values());
                        expected.add(ops.channelEnergies(tensor, bounds).toHost().values());
                    });
                    Sums sums = new Sums(ops, buffer, bounds);
                    ops.repeat("sums", List.of(ops.input(x), ops.input(y)), sums,
                            (inputs, watcher) -> recurring(ops, inputs.get(0), inputs.get(1), layer, watcher));
                    buffer.fetch(sums.used);
                    ops.finish();
                    assertEquals(expected.size(), sums.parts.size(), "time " + time);
                    for (int i = 0; i < expected.size(); i++) {
                        assertArrayEquals(expected.get(i), sums.parts.get(i).toArray(ValueLayout.JAVA_FLOAT), "time " + time + ", part " + i);
                    }
                }
            }
            assertThrows(IndexOutOfBoundsException.class, () -> first.tensor(8192, rows));
        }
    }

    /** Queues two kinds of sums of everything into a buffer, one after the other. */
    private static final class Sums implements Repeated.Watcher {

        private final Ops on;
        private final HostBuffer buffer;
        private final int[] bounds;
        private final List<MemorySegment> parts = new ArrayList<>();
        private long used;

        Sums(Ops on, HostBuffer buffer, int[] bounds) {
            this.on = on;
            this.buffer = buffer;
            this.bounds = bounds;
        }

        @Override
        public void saw(String point, Tensor tensor) {
            on.rowMoments(tensor, tensor, next(Shape.of(tensor.dim(0), tensor.dim(1), 6)));
            on.channelEnergies(tensor, bounds, next(Shape.of(tensor.dim(0), 1, tensor.dim(2))));
        }

        private Tensor next(Shape shape) {
            long bytes = DType.F32.bytes(shape.elements());
            Tensor next = buffer.tensor(used, shape);
            parts.add(buffer.segment().asSlice(used, bytes));
            used += Math.ceilDiv(bytes, 16) * 16;
            return next;
        }

        @Override
        public boolean queues() {
            return true;
        }

        @Override
        public void again() {
            parts.clear();
            used = 0;
        }
    }

    /** Frees what it shows before its end, and lets other tensors have the memory. */
    private static Tensor recurring(Ops on, Tensor x, Tensor y, Linear layer, Repeated.Watcher watcher) {
        try (Frame outer = on.frame()) {
            Tensor h = on.alloc(x.shape());
            on.silu(x, h);
            watcher.saw("silu", h);
            Tensor sum = on.alloc(x.shape());
            on.addScaled(h, y, 0.5, sum);
            outer.release(h);
            Tensor out = on.linear(sum, layer);
            watcher.saw("linear", out);
            Tensor blend = on.alloc(x.shape());
            on.lerp(out, sum, 0.25, blend);
            return outer.escape(blend);
        }
    }

    @Test
    void aRepetitionThatFailsLeavesTheBackendInOrder() {
        Tensor x = ops.input(normal(2, 3, 16));
        for (int time = 0; time < 3; time++) {
            assertThrows(IllegalArgumentException.class, () -> ops.repeat("failing", List.of(x), (point, tensor) -> { }, (in, watcher) -> {
                try (Frame _ = ops.frame()) {
                    ops.silu(in.getFirst(), ops.alloc(x.shape()));
                    throw new IllegalArgumentException("on purpose");
                }
            }));
        }
        Tensor out = ops.alloc(x.shape());
        ops.copy(x, out);
        assertEquals(out.toHost().values().length, x.toHost().values().length);
    }

    @Test
    void aFreedTensorSaysWhatFreedItAlsoWhenItsMemoryServesAnother() {
        Tensor ended;
        try (Frame _ = ops.frame()) {
            ended = ops.input(normal(1, 3, 16)).named("ended");
            assertTrue(ended.toString().startsWith("ended f32[1, 3, 16] "), ended.toString());
        }
        Tensor next = ops.input(normal(1, 3, 16));
        for (Runnable look : new Runnable[] {ended::toHost, () -> ended.row(0), ended::stats, ended::histogram}) {
            String message = assertThrows(IllegalStateException.class, look::run).getMessage();
            assertTrue(message.startsWith("ended[1, 3, 16] used after frame "), message);
        }
        assertTrue(ended.toString().contains("(freed by frame "), ended.toString());
        assertEquals(3, next.stats().topTokens().size());
    }

    @Test
    void lookingAtResultsBetweenOperationsChangesNoBit() {
        HostTensor x = normal(2, 35, 256);
        HostTensor y = normal(2, 35, 256);
        HostTensor vector = normal(2, 256);
        List<float[]> results = new ArrayList<>();
        for (boolean look : new boolean[] {false, true}) {
            try (Frame _ = ops.frame()) {
                Tensor before = copied(x);
                Tensor update = copied(y);
                Tensor gate = ops.input(vector);
                Tensor mid = ops.alloc(before.shape());
                ops.gatedResidual(before, gate, update, mid);
                if (look) {
                    assertTrue(mid.toString().contains("|x|="), mid.toString());
                    assertEquals(mid.toHost().norm(), mid.stats().norm(), 1e-9 * mid.stats().norm());
                    assertEquals(256, mid.slice(1, 3, 9).row(11).values().length);
                }
                Tensor h = ops.alloc(before.shape());
                ops.layerNormModulate(mid, gate, gate, 1e-6, h);
                if (look) {
                    assertEquals(2 * 35 * 256, Arrays.stream(h.histogram().counts()).sum());
                }
                results.add(h.toHost().values());
                results.add(mid.toHost().values());
            }
        }
        assertArrayEquals(results.get(0), results.get(2), "normalised");
        assertArrayEquals(results.get(1), results.get(3), "residual");
    }

    /** Of the type that the backend computes in. */
    private Tensor copied(HostTensor values) {
        Tensor out = ops.alloc(values.shape());
        ops.copy(ops.input(values), out);
        return out;
    }

    private void linear(int tokens, int in, int out, DType type, boolean biased) {
        Linear layer = new Linear(weight(type, out, in), biased ? weight(type, out) : null);
        String label = "linear " + tokens + " x " + in + " to " + out + " " + type;
        check(label, Shape.of(2, tokens, out), (on, inputs, result) -> on.linear(inputs[0], on(on, layer), result),
                normal(2, tokens, in));
        check(label, Shape.of(tokens, out), (on, inputs, result) -> on.linear(inputs[0], on(on, layer), result),
                normal(tokens, in));
    }

    private static Linear on(Ops ops, Linear layer) {
        return new Linear(ops.weight(layer.weight()), layer.bias() == null ? null : ops.weight(layer.bias()));
    }

    @Test
    void layerNormsMatchAlsoFarFromZero() {
        for (int tokens : TOKENS) {
            for (int hidden : new int[] {1, 7, 20, 128, 1001}) {
                HostTensor x = shifted(normal(2, tokens, hidden), 3);
                check("layerNorm " + hidden, x.shape(), (on, in, out) -> on.layerNorm(in[0], 1e-6, out),
                        hidden == 1 ? normal(2, tokens, hidden) : x);
                check("layerNormModulate " + hidden, x.shape(),
                        (on, in, out) -> on.layerNormModulate(in[0], in[1], in[2], 1e-6, out), x, normal(2, hidden),
                        normal(2, hidden));
            }
        }
    }

    @Test
    void affineLayerNormMatchesForAllWeightTypes() {
        for (DType type : new DType[] {DType.F32, DType.BF16, DType.F16}) {
            for (int hidden : new int[] {1, 7, 20, 128, 1001}) {
                Tensor weight = weight(type, hidden);
                Tensor bias = weight(type, hidden);
                HostTensor x = hidden == 1 ? normal(2, 5, 1) : shifted(normal(2, 5, hidden), 3);
                check("layerNormAffine " + hidden, x.shape(),
                        (on, in, out) -> on.layerNormAffine(in[0], on.weight(weight), on.weight(bias), 1e-5, out), x);
            }
        }
    }

    @Test
    void geluMatchesForAllKinds() {
        for (Gelu kind : Gelu.values()) {
            for (int hidden : new int[] {1, 7, 64, 1001}) {
                HostTensor x = each(normal(2, 17, hidden), value -> 3 * value);
                check("gelu " + kind, x.shape(), (on, in, out) -> on.gelu(in[0], kind, out), x);
            }
            HostTensor extremes = HostTensor.of("x", new float[] {-1e15f, -200, -14, -6, -1e-3f, 0, 1e-3f, 6, 200, 1e12f}, 10);
            for (int i = 0; i < 10; i++) {
                HostTensor one = HostTensor.of("x", new float[] {extremes.values()[i]}, 1);
                if (Math.abs(one.values()[0]) < 5 || one.values()[0] > 0) {
                    check("gelu " + kind + " of " + one.values()[0], one.shape(), (on, in, out) -> on.gelu(in[0], kind, out), one);
                }
            }
            check("gelu " + kind, extremes.shape(), (on, in, out) -> on.gelu(in[0], kind, out), extremes);
        }
    }

    @Test
    void convolutionMatchesForKernelsStridesAndPaddings() {
        Conv2d.Padding[] paddings = {Conv2d.Padding.around(1), new Conv2d.Padding(0, 0, 1, 1), Conv2d.Padding.NONE,
            new Conv2d.Padding(2, 0, 1, 3)};
        DType[] types = {DType.F32, DType.BF16, DType.F16, DType.F64};
        for (int channels : new int[] {1, 3, 16, 61}) {
            for (int stride = 1; stride <= 2; stride++) {
                for (int i = 0; i < paddings.length; i++) {
                    convolution(7, 5, channels, 13, 3, 3, stride, paddings[i], types[i]);
                    convolution(4, 9, channels, 5, 1, 2, stride, paddings[i], types[i]);
                }
            }
            convolution(6, 7, channels, 11, 1, 1, 1, Conv2d.Padding.NONE, DType.BF16);
            convolution(1, 1, channels, 7, 3, 3, 1, Conv2d.Padding.around(1), DType.F32);
        }
        convolution(40, 37, 130, 70, 3, 3, 1, Conv2d.Padding.around(1), DType.BF16);
        convolution(9, 11, 24, 3, 3, 3, 1, Conv2d.Padding.around(1), DType.BF16);
        convolution(15, 14, 40, 40, 3, 3, 2, new Conv2d.Padding(0, 0, 1, 1), DType.F32);
        convolution(17, 16, 512, 20, 3, 3, 1, Conv2d.Padding.around(1), DType.BF16);
        for (int i = 0; i < paddings.length; i++) {
            convolution(1 + 5 * i, 257, 17, 50, 3, 3, 1, i == 2 ? Conv2d.Padding.around(2) : paddings[i], types[i]);
            convolution(37 + i, 9 - i, 85, 16, 3, 3, 1, paddings[i], types[i]);
        }
    }

    @Test
    void aConvolutionIsAddedToAPicture() {
        for (int[] sizes : new int[][] {{5, 7, 3, 13, 3}, {6, 4, 61, 8, 1}, {1, 1, 16, 1, 3}, {12, 9, 32, 40, 3}, {24, 13, 32, 40, 3},
            {17, 18, 20, 37, 3}}) {
            Tensor weight = weight(DType.BF16, sizes[3], sizes[2], sizes[4], sizes[4]);
            Tensor bias = sizes[3] % 2 == 1 ? weight(DType.F32, sizes[3]) : null;
            check("conv2dAdded " + Arrays.toString(sizes), Shape.of(2, sizes[0], sizes[1], sizes[3]), (on, in, out) ->
                    on.conv2dAdded(in[0], new Conv2d(on.convWeight(weight), bias == null ? null : on.weight(bias), 1,
                            Conv2d.Padding.around(sizes[4] / 2)), in[1], out),
                    normal(2, sizes[0], sizes[1], sizes[2]), normal(2, sizes[0], sizes[1], sizes[3]));
        }
    }

    private void convolution(int height, int width, int in, int out, int kernelHeight, int kernelWidth, int stride,
            Conv2d.Padding padding, DType type) {
        Tensor weight = weight(type, out, in, kernelHeight, kernelWidth);
        Tensor bias = stride == 1 ? weight(type, out) : null;
        HostTensor x = normal(2, height, width, in);
        Conv2d shaped = new Conv2d(reference.convWeight(weight), bias, stride, padding);
        check("conv2d " + kernelHeight + "x" + kernelWidth + " of " + x.shape() + " to " + out + " stride " + stride + " " + padding,
                shaped.outShape(x.shape()), (on, inputs, result) -> on.conv2d(inputs[0], new Conv2d(on.convWeight(weight),
                        bias == null ? null : on.weight(bias), stride, padding), result), x);
    }

    @Test
    void groupMomentsAndGroupNormMatchAlsoFarFromZero() {
        for (int[] sizes : new int[][] {{1, 1, 4, 2}, {3, 5, 12, 4}, {7, 2, 33, 3}, {9, 31, 64, 32}, {2, 3, 7, 7}, {3, 2, 64, 64},
            {13, 5, 256, 16}, {1, 3, 24, 3}, {31, 33, 40, 1}}) {
            int groups = sizes[3];
            HostTensor x = shifted(normal(2, sizes[0], sizes[1], sizes[2]), 5);
            Tensor weight = weight(DType.BF16, sizes[2]);
            Tensor bias = weight(DType.F32, sizes[2]);
            check("groupMoments " + x.shape(), Shape.of(2, 2, groups), (on, in, out) -> on.groupMoments(in[0], out), x);
            for (boolean silu : new boolean[] {false, true}) {
                check("groupNorm " + x.shape(), x.shape(), (on, in, out) -> on.groupNorm(in[0], on.weight(weight), on.weight(bias),
                        groups, 1e-6, silu, out), x);
                for (int batch = 1; batch <= 2; batch++) {
                    check("groupNorm by other statistics " + x.shape(), x.shape(), (on, in, out) -> on.groupNorm(in[0], in[1],
                            on.weight(weight), on.weight(bias), 1e-6, silu, out), x, each(normal(batch, 2, groups), Math::abs));
                }
            }
        }
    }

    @Test
    void rowMomentsMatchWithAndWithoutWhatWasBefore() {
        for (int tokens : TOKENS) {
            for (int hidden : new int[] {1, 7, 64, 1001, 3072}) {
                HostTensor x = shifted(normal(2, tokens, hidden), 1);
                check("rowMoments " + hidden, Shape.of(2, tokens), (on, in, out) -> sums(on, on.rowMoments(in[0], null), 0, out), x);
                for (int sum = 0; sum < 3; sum++) {
                    int index = sum;
                    check("rowMoments " + hidden + " sum " + sum, Shape.of(2, tokens),
                            (on, in, out) -> sums(on, on.rowMoments(in[0], in[1]), index, out), x, normal(2, tokens, hidden));
                }
            }
        }
    }

    /** The sums themselves: pairs added up. */
    private static void sums(Ops on, Tensor moments, int index, Tensor out) {
        float[] pairs = moments.toHost().values();
        int columns = Math.toIntExact(moments.dim(2));
        float[] sums = new float[pairs.length / columns];
        for (int row = 0; row < sums.length; row++) {
            float nearest = pairs[row * columns + 2 * index];
            float remainder = pairs[row * columns + 2 * index + 1];
            assertTrue(Math.abs(remainder) <= Math.ulp(nearest), nearest + " and " + remainder);
            sums[row] = nearest + remainder;
        }
        on.copy(on.input(new HostTensor("sums", out.shape(), sums)), out);
    }

    @Test
    void channelEnergiesMatchForAnyRanges() {
        for (int tokens : new int[] {1, 17, 101}) {
            for (int hidden : new int[] {1, 7, 64, 1001, 3072}) {
                int third = tokens / 3;
                for (int[] bounds : new int[][] {{0, tokens}, {0, third, third, tokens}, {third, third, 0, tokens, tokens - 1, tokens},
                    {0, 1, 0, 1, 0, tokens, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, third, tokens, 0, 0}}) {
                    check("channelEnergies " + Arrays.toString(bounds) + " of " + hidden, Shape.of(2, bounds.length / 2, hidden),
                            (on, in, out) -> on.channelEnergies(in[0], bounds, out), normal(2, tokens, hidden));
                }
            }
        }
    }

    @Test
    void momentsSurviveValuesFarFromZeroThatDriftAcrossThePicture() {
        HostTensor x = normal(1, 61, 67, 16);
        for (int i = 0; i < x.values().length; i++) {
            x.values()[i] = 300 + x.values()[i] + (float) (i / (16 * 67)) / 10;
        }
        for (int groups : new int[] {1, 2, 4, 8, 16}) {
            check("groupMoments in " + groups + " groups", Shape.of(1, 2, groups), (on, in, out) -> on.groupMoments(in[0], out), x);
        }
    }

    @Test
    void upsamplingMatches() {
        for (int channels : new int[] {1, 7, 8, 64}) {
            check("upsampleNearest2x", Shape.of(2, 6, 10, channels), (on, in, out) -> on.upsampleNearest2x(in[0], out),
                    normal(2, 3, 5, channels));
        }
    }

    @Test
    void rmsNormMatchesForRowsAndForHeadsWithinThem() {
        for (DType type : new DType[] {DType.F32, DType.BF16}) {
            for (int tokens : TOKENS) {
                for (int group : new int[] {16, 20, 32, 128, 515}) {
                    Tensor weight = weight(type, group);
                    for (int heads : new int[] {1, 3}) {
                        check("rmsNorm " + group, Shape.of(2, tokens, heads * group),
                                (on, in, out) -> on.rmsNorm(in[0], on.weight(weight), 1e-6, out),
                                normal(2, tokens, heads * group));
                    }
                }
            }
        }
    }

    @Test
    void rmsNormRopeMatchesForBothPairings() {
        for (Rope.Pairing pairing : Rope.Pairing.values()) {
            for (int tokens : TOKENS) {
                for (int headDim : new int[] {2, 16, 20, 32, 128}) {
                    Tensor weight = weight(DType.BF16, headDim);
                    HostTensor angles = normal(tokens, headDim / 2);
                    check("rmsNormRope " + pairing + " " + headDim, Shape.of(2, tokens, 3 * headDim),
                            (on, in, out) -> on.rmsNormRope(in[0], on.weight(weight), 1e-6,
                                    new Rope(in[1], in[2], pairing), out),
                            normal(2, tokens, 3 * headDim), each(angles, Math::cos), each(angles, Math::sin));
                }
            }
        }
    }

    @Test
    void rmsNormRopeOfQueriesAndKeysIsThatOfEach() {
        for (Rope.Pairing pairing : Rope.Pairing.values()) {
            for (int headDim : new int[] {20, 32, 128}) {
                Tensor normQ = weight(DType.BF16, headDim);
                Tensor normK = weight(DType.BF16, headDim);
                HostTensor angles = normal(17, headDim / 2);
                HostTensor q = normal(2, 17, 4 * headDim);
                HostTensor k = normal(2, 17, headDim);
                for (boolean queries : new boolean[] {true, false}) {
                    check("rmsNormRope of q and k " + pairing + " " + headDim, (queries ? q : k).shape(), (on, in, out) -> {
                        Tensor other = on.alloc((queries ? k : q).shape());
                        on.rmsNormRope(in[0], in[1], on.weight(normQ), on.weight(normK), 1e-6, new Rope(in[2], in[3], pairing),
                                queries ? out : other, queries ? other : out);
                    }, q, k, each(angles, Math::cos), each(angles, Math::sin));
                }
            }
        }
    }

    @Test
    void rotateMatchesForBothPairingsAndAnyHeads() {
        for (Rope.Pairing pairing : Rope.Pairing.values()) {
            for (int tokens : TOKENS) {
                for (int headDim : new int[] {2, 20, 32, 128, 1002}) {
                    HostTensor angles = normal(tokens, headDim / 2);
                    check("rotate " + pairing + " " + headDim, Shape.of(2, tokens, 3 * headDim),
                            (on, in, out) -> on.rotate(in[0], new Rope(in[1], in[2], pairing), out), normal(2, tokens, 3 * headDim),
                            each(angles, Math::cos), each(angles, Math::sin));
                }
            }
        }
    }

    @Test
    void addProjectionsMatchesForRowsAndVectors() {
        for (int hidden : new int[] {1, 7, 64, 1001, 3072}) {
            for (int directions : new int[] {1, 2, 64}) {
                HostTensor from = each(normal(directions, hidden), value -> value / Math.sqrt(hidden));
                check("addProjections " + directions + " of " + hidden, Shape.of(2, 17, hidden),
                        (on, in, out) -> on.addProjections(in[0], in[1], in[2], out), normal(2, 17, hidden), from, normal(directions, hidden));
                check("addProjections " + directions + " of vectors of " + hidden, Shape.of(3, hidden),
                        (on, in, out) -> on.addProjections(in[0], in[1], in[2], out), normal(3, hidden), from, normal(directions, hidden));
            }
        }
    }

    @Test
    void whatIsSeenMayBeChangedWhereItLies() {
        changeWhereItLies(ops);
    }

    /** A GPU joins a gated residual and the LayerNorm that follows; what is changed between them must not be passed by. */
    public static void changeWhereItLies(Ops ops) {
        Random random = new Random(5);
        for (int time = 0; time < 6; time++) {
            HostTensor x = normal(random, 1, 35, 64);
            HostTensor y = normal(random, 1, 35, 64);
            HostTensor gate = normal(random, 1, 64);
            HostTensor scale = normal(random, 1, 64);
            HostTensor shift = normal(random, 1, 64);
            HostTensor changed = normal(random, 1, 35, 64);
            try (Frame _ = ops.frame()) {
                Tensor expected = ops.alloc(x.shape());
                ops.layerNormModulate(laid(ops, ops.input(changed)), ops.input(scale), ops.input(shift), 1e-6, expected);
                Tensor found = ops.repeat("changed where it lies", List.of(ops.input(x), ops.input(y), ops.input(gate), ops.input(scale),
                        ops.input(shift)), (point, tensor) -> {
                            try (Frame _ = ops.frame()) {
                                ops.copy(ops.input(changed), tensor);
                            }
                        }, (in, watcher) -> {
                            try (Frame frame = ops.frame()) {
                                Tensor sum = ops.alloc(x.shape());
                                ops.gatedResidual(laid(ops, in.get(0)), in.get(2), laid(ops, in.get(1)), sum);
                                ops.settle();
                                watcher.saw("sum", sum);
                                return frame.escape(ops.layerNormModulate(sum, in.get(3), in.get(4), 1e-6));
                            }
                        });
                assertArrayEquals(expected.toHost().values(), found.toHost().values(), "time " + time);
            }
        }
    }

    /** As an activation in the backend's own type. */
    private static Tensor laid(Ops ops, Tensor x) {
        Tensor out = ops.alloc(x.shape());
        ops.copy(x, out);
        return out;
    }

    @Test
    void attentionMatchesForHeadSizesGroupsAndMasks() {
        AttentionMask[] masks = {AttentionMask.NONE, new AttentionMask(true, null),
            new AttentionMask(false, new long[] {1, 11}), new AttentionMask(true, new long[] {9, 0})};
        for (int tokens : TOKENS) {
            for (int headDim : new int[] {16, 20, 32, 128}) {
                for (AttentionMask mask : masks) {
                    attention(tokens, tokens, 4, 2, headDim, mask);
                }
            }
        }
        attention(3, 50, 6, 1, 16, AttentionMask.NONE);
        attention(50, 3, 2, 2, 20, AttentionMask.NONE);
        attention(90, 700, 1, 1, 300, AttentionMask.NONE);
        attention(33, 65, 2, 1, 512, AttentionMask.NONE);
    }

    @Test
    void attentionMatchesAroundSixtyFourTokensAndForManyBatches() {
        AttentionMask mask = new AttentionMask(true, new long[] {300, 37});
        attention(1, 1, 2, 2, 64, mask);
        attention(63, 63, 3, 3, 40, mask);
        attention(64, 64, 2, 1, 8, new AttentionMask(true, new long[] {64, 1}));
        attention(65, 65, 4, 1, 96, mask);
        attention(257, 257, 2, 2, 8, mask);
        attention(129, 257, 2, 1, 64, new AttentionMask(false, new long[] {128, 257}));
        attention(193, 513, 2, 1, 24, new AttentionMask(false, new long[] {513, 256}));
        attention(5, 1041, 2, 1, 16, AttentionMask.NONE);
        attention(70, 40, 2, 1, 144, new AttentionMask(true, new long[] {40, 33}));
        HostTensor q = normal(19, 3, 16);
        AttentionMask many = new AttentionMask(false, IntStream.range(0, 19).mapToLong(batch -> batch % 7).toArray());
        check("attention on 19 batches", q.shape(), (on, in, out) -> on.attention(in[0], in[1], in[1], 2, 2, many, out), q,
                normal(19, 5, 16));
    }

    @Test
    void attentionSharesMatchForHeadSizesAndGroups() {
        for (int tokens : TOKENS) {
            for (int headDim : new int[] {2, 16, 20, 32, 128}) {
                shares(tokens, tokens, 3, headDim, 1 + tokens / 3);
            }
        }
        shares(1, 1, 2, 64, 1);
        shares(64, 64, 2, 40, 2);
        shares(65, 63, 1, 96, 7);
        shares(7, 257, 2, 8, 64);
        shares(129, 130, 2, 24, 65);
        shares(3, 300, 1, 17, 150);
        shares(66, 1000, 1, 300, 5);
    }

    private void shares(int queries, int keys, int heads, int headDim, int count) {
        HostTensor q = each(normal(2, queries, heads * headDim), value -> 2 * value);
        HostTensor k = normal(2, keys, heads * headDim);
        int[] scattered = IntStream.range(0, keys).map(key -> (7 * key + key / 5) % count).toArray();
        int[] runs = IntStream.range(0, keys).map(key -> (int) ((long) key * count / keys)).toArray();
        for (int[] groups : new int[][] {scattered, runs}) {
            String label = "attentionShares " + queries + " queries " + keys + " keys " + heads + " heads of " + headDim + " in " + count
                    + " groups";
            check(label, Shape.of(2, heads * queries, 1 + count), (on, in, out) -> on.attentionShares(in[0], in[1], heads, groups, out), q, k);
            check(label + ", shares alone", Shape.of(2, heads * queries, count), (on, in, out) ->
                    on.copy(on.attentionShares(in[0], in[1], heads, groups, count).slice(2, 1, 1 + count), out), q, k);
        }
    }

    @Test
    void attentionSharesAddUpAndTheirEntropyHasItsBounds() {
        int[] groups = IntStream.range(0, 301).map(key -> key < 290 ? 0 : key % 5).toArray();
        for (double scale : new double[] {0, 1e-3, 1, 30, 3000}) {
            HostTensor q = each(normal(1, 70, 2 * 16), value -> scale * value);
            HostTensor out = ops.attentionShares(ops.input(q), ops.input(normal(1, 301, 2 * 16)), 2, groups, 6).toHost();
            for (int row = 0; row < 2 * 70; row++) {
                float[] values = out.row(row);
                double sum = IntStream.range(1, 7).mapToDouble(group -> values[group]).sum();
                assertEquals(1, sum, 1e-5, "shares at scale " + scale + " in row " + row);
                assertTrue(values[0] >= 0 && values[0] <= Math.log(301) + 1e-6, "entropy " + values[0]);
                assertEquals(0, values[6], "a group without keys");
                if (scale <= 1e-3) {
                    assertEquals(Math.log(301), values[0], 1e-4, "entropy of an even spread");
                }
            }
        }
    }

    private void attention(int queries, int keys, int heads, int kvHeads, int headDim, AttentionMask mask) {
        String label = "attention " + queries + " queries " + keys + " keys " + heads + "/" + kvHeads + " heads of "
                + headDim + " causal " + mask.causal() + " valid " + Arrays.toString(mask.validKeys());
        HostTensor q = each(normal(2, queries, heads * headDim), value -> 2 * value);
        check(label, q.shape(), (on, in, out) -> on.attention(in[0], in[1], in[2], heads, kvHeads, mask, out), q,
                normal(2, keys, kvHeads * headDim), normal(2, keys, kvHeads * headDim));
    }

    @Test
    void elementwiseOperationsMatch() {
        for (int tokens : TOKENS) {
            for (int hidden : new int[] {1, 7, 64, 100, 3072}) {
                Shape shape = Shape.of(2, tokens, hidden);
                HostTensor x = each(normal(2, tokens, hidden), value -> 20 * value);
                HostTensor y = normal(2, tokens, hidden);
                check("silu", shape, (on, in, out) -> on.silu(in[0], out), x);
                check("swiglu", shape, (on, in, out) -> on.swiglu(in[0], in[1], out), x, y);
                check("gatedResidual", shape, (on, in, out) -> on.gatedResidual(in[0], in[1], in[2], out), x,
                        normal(2, hidden), y);
                check("addScaled", shape, (on, in, out) -> on.addScaled(in[0], in[1], -0.3, out), x, y);
                check("lerp", shape, (on, in, out) -> on.lerp(in[0], in[1], 1.7, out), x, y);
                check("copy", shape, (on, in, out) -> on.copy(in[0], out), x);
            }
        }
    }

    @Test
    void siluOfLargeValuesDoesNotOverflow() {
        HostTensor x = HostTensor.of("x", new float[] {-1e30f, -200, -88, -50, 0, 50, 200, 1e30f}, 8);
        check("silu", x.shape(), (on, in, out) -> on.silu(in[0], out), x);
    }

    @Test
    void attentionToleratesLargeScores() {
        HostTensor q = each(normal(1, 5, 16), value -> 200 * value);
        check("attention", q.shape(), (on, in, out) -> on.attention(in[0], in[1], in[2], 1, 1, AttentionMask.NONE, out),
                q, normal(1, 30, 16), normal(1, 30, 16));
    }

    @Test
    void embeddingPicksRows() {
        for (DType type : new DType[] {DType.F32, DType.BF16, DType.F16}) {
            Tensor table = weight(type, 11, 37);
            check("embedding " + type, Shape.of(1, 4, 37),
                    (on, in, out) -> on.embedding(on.weight(table), new int[] {10, 0, 3, 3}, out));
        }
    }

    @Test
    void shapesThatDoNotFitAreNamed() {
        Tensor x = ops.input(normal(2, 3, 8));
        Tensor wide = ops.input(normal(2, 3, 9));
        Tensor vector = ops.input(normal(2, 9));
        Tensor weight = ops.weight(weight(DType.F32, 4, 9));
        Tensor norm = ops.weight(weight(DType.F32, 3));
        refused(() -> ops.linear(x, new Linear(weight)), "[2, 3, 8]", "[4, 9]");
        refused(() -> ops.linear(wide, new Linear(weight), x), "[2, 3, 4]", "[2, 3, 8]");
        refused(() -> ops.linear(wide, new Linear(weight, norm)), "[4]", "[3]");
        refused(() -> ops.layerNorm(x, 1e-6, wide), "[2, 3, 8]", "[2, 3, 9]");
        refused(() -> ops.layerNormModulate(x, vector, vector, 1e-6), "[2, 3, 8]", "[2, 9]");
        refused(() -> ops.rmsNorm(x, norm, 1e-6), "[2, 3, 8]", "[3]");
        refused(() -> ops.attention(x, wide, wide, 2, 1, AttentionMask.NONE), "[2, 3, 8]", "[2, 3, 9]");
        refused(() -> ops.attention(x, x, wide, 2, 2, AttentionMask.NONE), "[2, 3, 8]", "[2, 3, 9]");
        refused(() -> ops.attentionShares(x, wide, 2, new int[3], 1), "[2, 3, 8]", "[2, 3, 9]");
        refused(() -> ops.attentionShares(x, x, 3, new int[3], 1), "[2, 3, 8]", "3 heads");
        refused(() -> ops.attentionShares(x, x, 2, new int[2], 1), "[2, 3, 8]", "2 keys");
        refused(() -> ops.attentionShares(x, x, 2, new int[] {0, 1, 2}, 2), "[2, 6, 3]", "group 2");
        refused(() -> ops.attentionShares(x, x, 2, new int[3], wide), "[2, 6, 9]", "[2, 3, 9]");
        refused(() -> ops.swiglu(x, wide), "[2, 3, 8]", "[2, 3, 9]");
        refused(() -> ops.gatedResidual(x, vector, x, ops.alloc(x.shape())), "[2, 3, 8]", "[2, 9]");
        refused(() -> ops.copy(x, wide), "[2, 3, 8]", "[2, 3, 9]");
        refused(() -> ops.embedding(weight, new int[] {1}, x), "[4, 9]", "[2, 3, 8]");
        Rope rope = new Rope(ops.input(normal(3, 2)), ops.input(normal(3, 3)), Rope.Pairing.HALVES);
        Tensor head = ops.weight(weight(DType.F32, 4));
        refused(() -> ops.rmsNormRope(x, head, 1e-6, rope), "[3, 2]", "[3, 3]");
        refused(() -> ops.rotate(x, rope, ops.alloc(x.shape())), "[3, 2]", "[3, 3]");
        refused(() -> ops.addProjections(x, vector, vector, ops.alloc(x.shape())), "[2, 3, 8]", "[2, 9]");
        refused(() -> ops.silu(x, x), "[2, 3, 8]", "overlaps");
        refused(() -> ops.layerNormAffine(x, norm, norm, 1e-6), "[8]", "[3]");
        Tensor picture = ops.input(normal(1, 4, 4, 6));
        Conv2d layer = new Conv2d(ops.convWeight(weight(DType.F32, 2, 5, 3, 3)), null, 1, Conv2d.Padding.NONE);
        refused(() -> ops.conv2d(picture, layer), "[1, 4, 4, 6]", "[2, 3, 3, 5]");
        refused(() -> ops.groupMoments(picture, 4), "[1, 4, 4, 6]", "[1, 2, 4]");
        refused(() -> ops.groupNorm(picture, norm, norm, 3, 1e-6, false), "[6]", "[3]");
        refused(() -> ops.rowMoments(x, wide, ops.alloc(Shape.of(2, 3, 6))), "[2, 3, 8]", "[2, 3, 9]");
        refused(() -> ops.rowMoments(x, null, wide), "[2, 3, 2]", "[2, 3, 9]");
        refused(() -> ops.channelEnergies(x, new int[] {2, 4}), "[2, 4]", "[2, 3, 8]");
        refused(() -> ops.upsampleNearest2x(picture, picture), "[1, 8, 8, 6]", "[1, 4, 4, 6]");
        refused(() -> ops.convWeight(norm), "[3]");
    }

    private static void refused(org.junit.jupiter.api.function.Executable executable, String... parts) {
        String message = assertThrows(IllegalArgumentException.class, executable).getMessage();
        for (String part : parts) {
            assertTrue(message.contains(part), message + " does not mention " + part);
        }
    }

    private void check(String label, Shape shape, Op op, HostTensor... inputs) {
        float[] expected;
        try (Frame _ = reference.frame()) {
            Tensor out = reference.alloc(shape);
            op.apply(reference, Arrays.stream(inputs).map(reference::input).toArray(Tensor[]::new), out);
            expected = out.toHost().values();
        }
        try (Frame _ = ops.frame()) {
            for (boolean sliced : new boolean[] {false, true}) {
                Tensor[] placed = Arrays.stream(inputs)
                        .map(input -> sliced ? placed(input) : ops.input(input)).toArray(Tensor[]::new);
                Tensor surroundings = ops.input(sentinels(shape, sliced));
                Tensor out = sliced ? inside(surroundings, shape) : surroundings;
                op.apply(ops, placed, out);
                String where = label + (sliced ? " on slices" : "");
                close(where, expected, out.toHost().values());
                untouched(where, surroundings, out);
                for (int i = 0; i < inputs.length; i++) {
                    assertArrayEquals(inputs[i].values(), placed[i].toHost().values(), where + ": input " + i);
                }
            }
        }
    }

    private void close(String label, float[] expected, float[] found) {
        double difference = 0;
        double norm = 0;
        double largest = 0;
        int worst = 0;
        for (int i = 0; i < expected.length; i++) {
            double error = Math.abs((double) found[i] - expected[i]);
            difference += error * error;
            norm += (double) expected[i] * expected[i];
            largest = Math.max(largest, Math.abs(expected[i]));
            if (!(error <= Math.abs((double) found[worst] - expected[worst]))) {
                worst = i;
            }
        }
        double relative = norm == 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm);
        double maxAbs = Math.abs((double) found[worst] - expected[worst]);
        String message = String.format("%s: relative L2 %.3g, max abs %.3g at %d: expected %.9g, found %.9g", label,
                relative, maxAbs, worst, expected[worst], found[worst]);
        assertTrue(relative <= tolerance() && maxAbs <= 8 * tolerance() * largest, message);
    }

    /** Everything around {@code out} must still be the sentinel: writing it into {@code out} leaves nothing else. */
    private void untouched(String label, Tensor surroundings, Tensor out) {
        try (Frame _ = ops.frame()) {
            float[] values = new float[Math.toIntExact(out.shape().elements())];
            Arrays.fill(values, SENTINEL);
            ops.copy(ops.input(new HostTensor("sentinels", out.shape(), values)), out);
        }
        float[] all = surroundings.toHost().values();
        for (int i = 0; i < all.length; i++) {
            assertEquals(SENTINEL, all[i], label + ": wrote outside its output, at " + i + " of " + surroundings.shape());
        }
    }

    /** The values as a slice of the last dimension, and of the tokens where there are batches of them. */
    private Tensor placed(HostTensor values) {
        Tensor surroundings = ops.input(sentinels(values.shape(), true));
        Tensor inside = inside(surroundings, values.shape());
        ops.copy(ops.input(values), inside);
        return inside;
    }

    private static Tensor inside(Tensor surroundings, Shape shape) {
        Tensor columns = surroundings.slice(-1, 5, 5 + shape.dim(-1));
        return shape.rank() == 3 ? columns.slice(1, 1, 1 + shape.dim(1)) : columns;
    }

    private static HostTensor sentinels(Shape shape, boolean larger) {
        long[] dims = shape.dims();
        if (larger) {
            dims[dims.length - 1] += 8;
            if (dims.length == 3) {
                dims[1] += 2;
            }
        }
        Shape around = new Shape(dims);
        float[] values = new float[Math.toIntExact(around.elements())];
        Arrays.fill(values, SENTINEL);
        return new HostTensor("sentinels", around, values);
    }

    private HostTensor normal(long... dims) {
        return normal(random, dims);
    }

    private static HostTensor normal(Random random, long... dims) {
        Shape shape = new Shape(dims);
        float[] values = new float[Math.toIntExact(shape.elements())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return new HostTensor("normal", shape, values);
    }

    private Tensor weight(DType type, long... dims) {
        return Weights.of(type, normal(dims));
    }

    private static HostTensor shifted(HostTensor values, float by) {
        return each(values, value -> value + by);
    }

    private static HostTensor each(HostTensor values, java.util.function.DoubleUnaryOperator function) {
        float[] result = new float[values.values().length];
        for (int i = 0; i < result.length; i++) {
            result[i] = (float) function.applyAsDouble(values.values()[i]);
        }
        return new HostTensor(values.name(), values.shape(), result);
    }
}
