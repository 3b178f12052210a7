package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.pipeline.TorchNoise.Kind;
import dev.kleinscope.pipeline.TorchNoise.Type;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class TorchNoiseTest {

    record Case(String name, Kind kind, Type type, long seed, int multiprocessors, long[] shape, JsonNode expected) {
        @Override
        public String toString() {
            return name;
        }
    }

    static Stream<Case> cases() throws IOException {
        JsonNode file;
        try (InputStream in = TorchNoiseTest.class.getResourceAsStream("/reference/cases/torch-noise.json")) {
            file = new ObjectMapper().readTree(in);
        }
        List<Case> cases = new ArrayList<>();
        for (var entry : file.get("values").properties()) {
            String[] parts = entry.getKey().split("/");
            long[] shape = Arrays.stream(parts[1].split("x")).mapToLong(Long::parseLong).toArray();
            cases.add(new Case(entry.getKey(), parts[0].equals("cpu") ? Kind.TORCH_CPU : Kind.TORCH_CUDA,
                    parts[2].equals("float32") ? Type.F32 : Type.BF16, file.get("seed").asLong(), file.get("sms").asInt(),
                    shape, entry.getValue()));
        }
        return cases.stream();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void headsTailsAndSumsAreThoseOfTorch(Case c) {
        float[] values = new TorchNoise(c.kind, c.seed, c.multiprocessors).next(c.type, c.shape);
        // only the GPU's fast sine and cosine are not reproduced to the bit, which rounding to bf16 hides here, though in a
        // large fill a rounding now and then falls the other way: so much for the tolerance of the sums
        boolean exact = c.kind == Kind.TORCH_CPU || c.type == Type.BF16;
        JsonNode head = c.expected.get("head");
        JsonNode tail = c.expected.get("tail");
        for (int i = 0; i < head.size(); i++) {
            assertEquals(head.get(i).asDouble(), values[i], exact ? 0 : 2e-6, c.name + "[" + i + "]");
        }
        for (int i = 0; i < tail.size(); i++) {
            int at = values.length - tail.size() + i;
            assertEquals(tail.get(i).asDouble(), values[at], exact ? 0 : 2e-6, c.name + "[" + at + "]");
        }
        // DoubleStream adds with compensation: half a million plain additions would err by more than the tolerance
        double sum = IntStream.range(0, values.length).mapToDouble(i -> values[i]).sum();
        double squares = IntStream.range(0, values.length).mapToDouble(i -> (double) values[i] * values[i]).sum();
        double perValue = c.kind == Kind.TORCH_CPU ? 1e-15 : 1e-7;
        assertEquals(c.expected.get("sum").asDouble(), sum, perValue * Math.max(100, values.length), "sum");
        double expectedSquares = c.expected.get("sumsq").asDouble();
        assertEquals(expectedSquares, squares, expectedSquares * (c.kind == Kind.TORCH_CPU ? 1e-13 : 1e-6), "squares");
    }

    @Test
    void aGeneratorGoesOnWhereTheLastCallStopped() {
        for (Kind kind : Kind.values()) {
            TorchNoise generator = new TorchNoise(kind, 7, 132);
            float[] first = generator.next(Type.F32, 4, 32);
            float[] second = generator.next(Type.F32, 4, 32);
            assertArrayEquals(TorchNoise.randn(kind, Type.F32, 7, 4, 32), first);
            assertFalse(Arrays.equals(first, second), kind + " repeated itself");
        }
    }

    @Test
    void theCpuGeneratorKeepsTheSecondOfAPairForTheNextCall() {
        TorchNoise generator = new TorchNoise(Kind.TORCH_CPU, 42, 132);
        float[] five = TorchNoise.randn(Kind.TORCH_CPU, Type.F32, 42, 5);
        assertArrayEquals(Arrays.copyOfRange(five, 0, 3), generator.next(Type.F32, 3));
        assertArrayEquals(Arrays.copyOfRange(five, 3, 5), generator.next(Type.F32, 2));
    }

    @Test
    void theCudaGeneratorSkipsOneDrawPerRoundOfTheGrid() {
        // one block of 256 threads draws four each: the next call's first value is thread 0's second draw, which on a
        // GPU of one multiprocessor (2,048 threads, four values each) is value 8,192 of a longer fill
        TorchNoise generator = new TorchNoise(Kind.TORCH_CUDA, 42, 1);
        generator.next(Type.F32, 1);
        float[] longer = new TorchNoise(Kind.TORCH_CUDA, 42, 1).next(Type.F32, 10_000);
        assertEquals(longer[8_192], generator.next(Type.F32, 1)[0]);
    }

    @Test
    void theCudaOrderDependsOnTheMultiprocessors() {
        float[] big = new TorchNoise(Kind.TORCH_CUDA, 42, 132).next(Type.F32, 400_000);
        float[] small = new TorchNoise(Kind.TORCH_CUDA, 42, 66).next(Type.F32, 400_000);
        assertEquals(big[100], small[100]);
        // value 1 x grid is thread 0's second normal, wherever the grid ends
        assertEquals(big[132 * 2048], small[66 * 2048]);
    }

    @Test
    void seedsOfEitherSignGiveFiniteNumbers() {
        for (Kind kind : Kind.values()) {
            for (long seed : new long[] {0, -1, Long.MIN_VALUE, Long.MAX_VALUE}) {
                for (Type type : Type.values()) {
                    float[] values = TorchNoise.randn(kind, type, seed, 1000);
                    double squares = 0;
                    for (float value : values) {
                        squares += (double) value * value;
                    }
                    assertEquals(1000, squares, 250, kind + " " + type + " " + seed);
                }
            }
        }
    }

    @Test
    void noValuesAreNoValues() {
        assertEquals(0, TorchNoise.randn(Kind.TORCH_CUDA, Type.F32, 1, 0, 5).length);
        assertEquals(0, TorchNoise.randn(Kind.TORCH_CPU, Type.BF16, 1, 0).length);
    }

    @Test
    void shapesBeyondMemoryAreRefused() {
        for (long[] shape : List.of(new long[] {1L << 40}, new long[] {1L << 40, 1L << 40})) {
            var e = assertThrows(IllegalArgumentException.class, () -> TorchNoise.randn(Kind.TORCH_CPU, Type.F32, 1, shape));
            assertTrue(e.getMessage().contains(Arrays.toString(shape)), e.getMessage());
        }
        assertThrows(IllegalArgumentException.class, () -> new TorchNoise(Kind.TORCH_CUDA, 1, 0));
    }
}
