package dev.kleinscope.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The kernels for rows of bf16. Needs a GPU; {@link CudaContractRun} runs it without JUnit's engine. */
class CudaRowsTest {

    /** Relative L2 error of rounding to bf16 once is about 1.7e-3. */
    private static final double ONCE = 2.5e-3;

    private final Random random = new Random(5);

    @BeforeAll
    static void requireGpu() {
        CudaOpsContractTest.requireGpu();
    }

    /** An operation on activations, bf16 on the device. */
    private interface Op {
        void apply(Ops ops, Tensor[] inputs, Tensor out);
    }

    @Test
    void normsRoundOnceAndHaveTheSameBitsWhereverTheirRowsLie() {
        for (int width : new int[] {64, 512, 520, 2560, 3072, 16384}) {
            HostTensor scale = normal(2, width);
            HostTensor shift = normal(2, width);
            Tensor weight = weight(width);
            HostTensor x = normal(2, 9, width);
            check("layerNorm " + width, (ops, in, out) -> ops.layerNorm(in[0], 1e-6, out), x);
            check("layerNormModulate " + width,
                    (ops, in, out) -> ops.layerNormModulate(in[0], ops.input(scale), ops.input(shift), 1e-6, out), x);
            check("layerNormAffine " + width,
                    (ops, in, out) -> ops.layerNormAffine(in[0], ops.weight(weight), ops.weight(weight), 1e-6, out), x);
            check("rmsNorm " + width, (ops, in, out) -> ops.rmsNorm(in[0], ops.weight(weight), 1e-6, out), x);
        }
    }

    @Test
    void rotatedHeadsRoundOnceAndHaveTheSameBitsWhereverTheirRowsLie() {
        for (Rope.Pairing pairing : Rope.Pairing.values()) {
            for (int headDim : new int[] {16, 32, 128, 256}) {
                Tensor weight = weight(headDim);
                HostTensor angles = normal(9, headDim / 2);
                HostTensor cos = each(angles, Math::cos);
                HostTensor sin = each(angles, Math::sin);
                check("rmsNorm of heads of " + headDim, (ops, in, out) -> ops.rmsNorm(in[0], ops.weight(weight), 1e-6, out),
                        normal(2, 9, 3 * headDim));
                check("rmsNormRope " + pairing + " of " + headDim, (ops, in, out) -> ops.rmsNormRope(in[0], ops.weight(weight), 1e-6,
                        new Rope(ops.input(cos), ops.input(sin), pairing), out), normal(2, 9, 3 * headDim));
                for (boolean queries : new boolean[] {true, false}) {
                    check("rmsNormRope of q and k " + pairing + " of " + headDim, (ops, in, out) -> {
                        Tensor other = ops.alloc(in[queries ? 1 : 0].shape());
                        Tensor q = queries ? in[0] : ops.alloc(Shape.of(2, 9, 4 * headDim));
                        if (!queries) {
                            ops.copy(ops.input(each(new HostTensor("", q.shape(), new float[(int) q.shape().elements()]), v -> 1)), q);
                        }
                        ops.rmsNormRope(q, queries ? in[1] : in[0], ops.weight(weight), ops.weight(weight), 1e-6,
                                new Rope(ops.input(cos), ops.input(sin), pairing), queries ? out : ops.alloc(q.shape()),
                                queries ? other : out);
                    }, normal(2, 9, 4 * headDim), normal(2, 9, 4 * headDim));
                }
            }
        }
    }

    @Test
    void elementwiseOperationsRoundOnceAndHaveTheSameBitsWhereverTheirRowsLie() {
        for (int width : new int[] {8, 64, 1000, 3072}) {
            HostTensor gate = normal(2, width);
            HostTensor x = each(normal(2, 9, width), value -> 4 * value);
            HostTensor y = normal(2, 9, width);
            check("silu " + width, (ops, in, out) -> ops.silu(in[0], out), x);
            check("swiglu " + width, (ops, in, out) -> ops.swiglu(in[0], in[1], out), x, y);
            check("gatedResidual " + width, (ops, in, out) -> ops.gatedResidual(in[0], ops.input(gate), in[1], out), x, y);
            check("addScaled " + width, (ops, in, out) -> ops.addScaled(in[0], in[1], -0.3, out), x, y);
            check("lerp " + width, (ops, in, out) -> ops.lerp(in[0], in[1], 1.7, out), x, y);
            check("copy " + width, (ops, in, out) -> ops.copy(in[0], out), x);
        }
    }

    @Test
    void siluOfExtremesDoesNotOverflow() {
        HostTensor x = HostTensor.of("x", new float[] {-1e30f, -200, -88, -50, 0, 50, 200, 1e30f}, 1, 1, 8);
        check("silu", (ops, in, out) -> ops.silu(in[0], out), x);
    }

    @Test
    void roundingAsDiffusersDoesRoundsEachStep() {
        for (int width : new int[] {64, 3072, 100}) {
            HostTensor x = bf16(normal(1, 9, width));
            HostTensor y = bf16(normal(1, 9, width));
            HostTensor gate = bf16(normal(1, width));
            stepwise("gatedResidual", x, y, (ops, in, out) -> ops.gatedResidual(in[0], ops.input(gate), in[1], out),
                    i -> r(x.values()[i] + r(gate.values()[i % width] * y.values()[i])));
            stepwise("swiglu", x, y, (ops, in, out) -> ops.swiglu(in[0], in[1], out),
                    i -> r(r(x.values()[i] / (1 + Math.exp(-x.values()[i]))) * y.values()[i]));
            stepwise("addScaled", x, y, (ops, in, out) -> ops.addScaled(in[0], in[1], -0.3, out),
                    i -> r(x.values()[i] + r(-0.3f * y.values()[i])));
            stepwise("lerp", x, y, (ops, in, out) -> ops.lerp(in[0], in[1], 4, out),
                    i -> r(x.values()[i] + r(4 * r(y.values()[i] - x.values()[i]))));
            double[] n = normalized(x);
            stepwise("layerNormModulate", x, y, (ops, in, out) -> ops.layerNormModulate(in[0], ops.input(gate), ops.input(gate), 1e-6, out),
                    i -> r(r(r(1 + gate.values()[i % width]) * r(n[i])) + gate.values()[i % width]));
        }
    }

    private static double[] normalized(HostTensor x) {
        try (ReferenceOps reference = new ReferenceOps(); Frame _ = reference.frame()) {
            float[] values = reference.layerNorm(reference.input(x), 1e-6).toHost().values();
            double[] result = new double[values.length];
            Arrays.setAll(result, i -> values[i]);
            return result;
        }
    }

    /** Nearly all bits are those of {@code expected}; a value that is rounded once more or less would differ in many. */
    private static void stepwise(String label, HostTensor x, HostTensor y, Op op, java.util.function.IntToDoubleFunction expected) {
        try (CudaOps ops = new CudaOps(Precision.BF16, false, Rounding.DIFFUSERS); Frame _ = ops.frame()) {
            Tensor out = ops.alloc(x.shape());
            op.apply(ops, new Tensor[] {placed(ops, x, true), placed(ops, y, true)}, out);
            float[] found = out.toHost().values();
            int other = 0;
            for (int i = 0; i < found.length; i++) {
                other += found[i] == expected.applyAsDouble(i) ? 0 : 1;
            }
            assertTrue(other <= found.length / 500, label + " " + x.shape() + ": " + other + " of " + found.length + " bits differ");
        }
    }

    private static float r(double value) {
        return BFloat16.round((float) value);
    }

    private static HostTensor bf16(HostTensor values) {
        return each(values, value -> BFloat16.round((float) value));
    }

    @Test
    void vectorsTimesABf16MatrixAreExactToF32() {
        for (int in : new int[] {256, 3072, 72}) {
            Tensor weight = weight(130, in);
            HostTensor x = normal(3, in);
            float[] expected;
            try (ReferenceOps ops = new ReferenceOps(); Frame _ = ops.frame()) {
                expected = ops.linear(ops.input(x), new Linear(weight)).toHost().values();
            }
            try (CudaOps ops = new CudaOps(Precision.BF16); Frame _ = ops.frame()) {
                Tensor out = ops.linear(ops.input(x), new Linear(ops.weight(weight)));
                assertEquals(DType.F32, out.dtype());
                Difference difference = Difference.of(out.toHost().values(), expected);
                assertTrue(difference.relativeL2() < 1e-6, in + ": " + difference);
            }
        }
    }

    @Test
    void sumsOfBf16RowsAndChannelsAreExactToF32() {
        for (int width : new int[] {7, 64, 3072}) {
            HostTensor x = normal(2, 101, width);
            HostTensor before = normal(2, 101, width);
            int[] bounds = {0, 40, 40, 41, 60, 101};
            try (CudaOps ops = new CudaOps(Precision.BF16); ReferenceOps reference = new ReferenceOps(); Frame _ = ops.frame();
                    Frame _ = reference.frame()) {
                for (boolean aligned : new boolean[] {true, false}) {
                    Tensor a = placed(ops, x, aligned);
                    Tensor b = placed(ops, before, aligned);
                    Tensor exactA = reference.input(a.toHost());
                    Tensor exactB = reference.input(b.toHost());
                    near("energies", ops.rowMoments(a, null), reference.rowMoments(exactA, null));
                    near("moments", ops.rowMoments(a, b), reference.rowMoments(exactA, exactB));
                    near("channels", ops.channelEnergies(a, bounds), reference.channelEnergies(exactA, bounds));
                }
            }
        }
    }

    private static void near(String label, Tensor found, Tensor expected) {
        assertEquals(DType.F32, found.dtype());
        Difference difference = Difference.of(found.toHost().values(), expected.toHost().values());
        assertTrue(difference.relativeL2() < 1e-6, label + " " + found.shape() + ": " + difference);
    }

    private void check(String label, Op op, HostTensor... inputs) {
        float[] aligned = null;
        try (CudaOps ops = new CudaOps(Precision.BF16); ReferenceOps reference = new ReferenceOps(); Frame _ = ops.frame();
                Frame _ = reference.frame()) {
            for (boolean whole : new boolean[] {true, false}) {
                Tensor[] placed = Arrays.stream(inputs).map(input -> placed(ops, input, whole)).toArray(Tensor[]::new);
                Tensor out = placed(ops, each(inputs[0], value -> Float.NaN), whole);
                op.apply(ops, placed, out);
                float[] found = out.toHost().values();
                if (whole) {
                    aligned = found;
                    Tensor expected = reference.alloc(inputs[0].shape());
                    op.apply(reference, Arrays.stream(placed).map(tensor -> reference.input(tensor.toHost())).toArray(Tensor[]::new), expected);
                    Difference difference = Difference.of(found, expected.toHost().values());
                    assertTrue(difference.relativeL2() < ONCE, label + ": " + difference);
                } else {
                    assertArrayEquals(aligned, found, 0, label + " on rows that begin anywhere");
                }
            }
        }
    }

    /** In bf16: by itself, or between other columns and rows. */
    private static Tensor placed(Ops ops, HostTensor values, boolean whole) {
        Shape shape = values.shape();
        Tensor place = whole ? ops.alloc(shape)
                : ops.alloc(Shape.of(shape.dim(0), shape.dim(1) + 2, shape.dim(2) + 9)).slice(2, 5, 5 + shape.dim(2)).slice(1, 1, 1 + shape.dim(1));
        assertEquals(DType.BF16, place.dtype());
        ops.copy(ops.input(values), place);
        return place;
    }

    private HostTensor normal(long... dims) {
        float[] values = new float[(int) new Shape(dims).elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("x", values, dims);
    }

    /** Values that bf16 holds. */
    private Tensor weight(long... dims) {
        HostTensor values = each(normal(dims), value -> Float.intBitsToFloat(Float.floatToIntBits((float) value) & 0xffff0000));
        return Tensor.of("w", DType.F32, new Shape(dims), new HostStorage(MemorySegment.ofArray(values.values())));
    }

    private static HostTensor each(HostTensor values, java.util.function.DoubleUnaryOperator function) {
        float[] result = new float[values.values().length];
        for (int i = 0; i < result.length; i++) {
            result[i] = (float) function.applyAsDouble(values.values()[i]);
        }
        return new HostTensor(values.name(), values.shape(), result);
    }
}
