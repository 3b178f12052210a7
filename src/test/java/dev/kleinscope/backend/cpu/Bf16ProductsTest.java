package dev.kleinscope.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Weights;
import dev.kleinscope.pipeline.validate.TensorCheck;
import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class Bf16ProductsTest {

    private static HostTensor normal(long seed, long... dims) {
        Random random = new Random(seed);
        float[] values = new float[Math.toIntExact(new Shape(dims).elements())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("normal", values, dims);
    }

    /** Rounds as ever, shows what it would multiply, and declines. */
    private static CpuOps showing(int threads, List<Tensor> seen, List<float[]> values) {
        return new CpuOps(threads, (workers, frames) -> new Bf16Products(workers, frames, new JavaProducts(workers), (x, _, _) -> {
            seen.add(x);
            values.add(x.toHost().values());
            return false;
        }, (_, _, _, _) -> null));
    }

    @Test
    void everyKindOfNumberIsRoundedToNearestEven() {
        int width = 1003;
        float[] numbers = new float[2 * 77 * width];
        Random random = new Random(5);
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = Float.intBitsToFloat(i % 3 == 0 ? random.nextInt() & 0xffff0000 | 0x8000 : random.nextInt());
        }
        float[] special = {0f, -0f, Float.NaN, Float.intBitsToFloat(0x7f800001), Float.intBitsToFloat(0xffffffff), Float.POSITIVE_INFINITY,
            Float.NEGATIVE_INFINITY, Float.MAX_VALUE, -Float.MAX_VALUE, Float.MIN_VALUE, 1f};
        System.arraycopy(special, 0, numbers, 0, special.length);
        System.arraycopy(special, 0, numbers, numbers.length - special.length, special.length);
        List<float[]> rounded = new ArrayList<>();
        try (CpuOps ops = showing(3, new ArrayList<>(), rounded); Frame _ = ops.frame()) {
            ops.linear(ops.input(HostTensor.of("numbers", numbers, 2, 77, width)), new Linear(Weights.of(DType.BF16, normal(2, 4, width))));
        }
        for (int i = 0; i < numbers.length; i++) {
            assertEquals(Float.floatToRawIntBits(BFloat16.round(numbers[i])), Float.floatToRawIntBits(rounded.getFirst()[i]),
                    "bits of " + Integer.toHexString(Float.floatToRawIntBits(numbers[i])) + " at " + i);
        }
    }

    @Test
    void layersOfOneInputShareOneRounding() {
        List<Tensor> seen = new ArrayList<>();
        List<Linear> layers = List.of(new Linear(Weights.of(DType.BF16, normal(2, 24, 40))), new Linear(Weights.of(DType.F32, normal(3, 8, 40))),
                new Linear(Weights.of(DType.BF16, normal(4, 17, 40))));
        try (CpuOps ops = showing(2, seen, new ArrayList<>()); Frame _ = ops.frame()) {
            Tensor out = ops.linear(ops.input(normal(1, 2, 9, 40)), layers);
            assertEquals(2, seen.size(), "layers in BF16");
            assertSame(seen.getFirst(), seen.getLast());
            assertThrows(IllegalStateException.class, seen.getFirst()::toHost);
            assertEquals(49, out.dim(2));
        }
    }

    @Test
    void whatCannotBeMultipliedInBf16IsMultipliedUnrounded() {
        List<Linear> layers = List.of(new Linear(Weights.of(DType.BF16, normal(2, 24, 40)), Weights.of(DType.F32, normal(3, 24))),
                new Linear(Weights.of(DType.BF16, normal(4, 17, 40))));
        try (CpuOps ops = showing(2, new ArrayList<>(), new ArrayList<>()); CpuOps java = new CpuOps(2); Frame _ = ops.frame();
                Frame _ = java.frame()) {
            HostTensor x = normal(1, 2, 9, 40);
            assertArrayEquals(java.linear(java.input(x), layers).toHost().values(), ops.linear(ops.input(x), layers).toHost().values());
        }
    }

    @Test
    void vectorsPicturesAndOtherWeightsStayInF32() {
        Linear bf16 = new Linear(Weights.of(DType.BF16, normal(2, 24, 40)));
        Linear f16 = new Linear(Weights.of(DType.F16, normal(2, 24, 40)));
        List<Tensor> seen = new ArrayList<>();
        try (CpuOps ops = showing(2, seen, new ArrayList<>()); Frame _ = ops.frame()) {
            ops.linear(ops.input(normal(1, 3, 40)), bf16);
            ops.linear(ops.input(normal(1, 1, 5, 6, 40)), bf16);
            ops.linear(ops.input(normal(1, 1, 5, 40)), f16);
            assertEquals(List.of(), seen);
            ops.linear(ops.input(normal(1, 1, 5, 40)), bf16);
            assertEquals(1, seen.size());
        }
    }

    @Test
    void slicesOfWiderRowsGiveWhatWholeOnesGive() {
        Linear layer = new Linear(Weights.of(DType.BF16, normal(2, 40, 64)), Weights.of(DType.BF16, normal(3, 40)));
        try (CpuOps ops = Bf16OpsContractTest.open(2); Ops plain = RoundedReference.open(); Frame _ = ops.frame(); Frame _ = plain.frame()) {
            Tensor wide = ops.input(normal(1, 2, 12, 100));
            Tensor x = wide.slice(1, 3, 9).slice(2, 7, 71);
            Tensor out = ops.alloc(Shape.of(2, 9, 60)).slice(1, 1, 7).slice(2, 11, 51);
            ops.linear(x, layer, out);
            Difference difference = Difference.of(out.toHost().values(), plain.linear(plain.input(x.toHost()), layer).toHost().values());
            assertTrue(difference.relativeL2() <= 1e-6, difference.toString());
        }
    }

    @Test
    void aSecondStepTakesNoMoreMemory() {
        Linear layer = new Linear(Weights.of(DType.BF16, normal(2, 40, 64)));
        try (CpuOps ops = Bf16OpsContractTest.open(2); Frame _ = ops.frame()) {
            Tensor x = ops.input(normal(1, 1, 50, 64));
            Tensor out = ops.alloc(Shape.of(1, 50, 40));
            ops.linear(x, layer, out);
            long held = ops.bytesHeld();
            ops.linear(x, layer, out);
            assertEquals(held, ops.bytesHeld());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"dit-tiny-klein tiny-klein", "dit-tiny-klein-refimage tiny-klein", "dit-uneven dit-uneven"})
    void transformersStayAsNearAsTheRoundingsAllow(String line) {
        try (Ops bf16 = Bf16OpsContractTest.open(2); Ops plain = RoundedReference.open()) {
            List<TensorCheck> found = Bf16Cases.run(line, bf16);
            double rounded = Bf16Cases.worst(Bf16Cases.run(line, plain));
            assertTrue(rounded > 1e-3, "nothing was rounded: " + rounded);
            for (TensorCheck check : found) {
                assertTrue(check.within(Math.min(Bf16Cases.DIT_TOLERANCE, Bf16Cases.FACTOR * rounded)), () -> check + " against " + rounded);
            }
        }
    }

    @Test
    void bf16IsRefusedWhereTheCpuLacksIt() {
        String reason = CpuOps.whyNoBf16();
        Assumptions.assumeTrue(reason != null, "this CPU has bf16 products");
        String message = assertThrows(IllegalArgumentException.class, () -> new CpuOps(1, Gemm.ONEDNN, DType.BF16)).getMessage();
        assertTrue(message.contains(reason), message);
    }
}
