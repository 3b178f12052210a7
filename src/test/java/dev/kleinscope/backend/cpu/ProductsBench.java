package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Locale;

/**
 * Prints GFLOP/s of linear layers by our own kernel and by oneDNN, turn about: median, least and most. Run by hand:
 * {@code mvn -q test-compile && java --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED
 * -cp target/classes:target/test-classes:$DNNL_JAR dev.kleinscope.backend.cpu.ProductsBench [ROUNDS]}.
 */
final class ProductsBench {

    /** Rows, outputs, inputs; the last a product of a single block's fused projection. */
    private static final long[][] SHAPES = {{1, 18432, 3072}, {16, 9216, 3072}, {512, 9728, 2560}, {768, 3072, 12288}, {768, 27648, 3072}};

    private ProductsBench() {
    }

    public static void main(String[] arguments) {
        int rounds = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 9;
        try (CpuOps java = new CpuOps(Gemm.JAVA); CpuOps oneDnn = new CpuOps(Gemm.ONEDNN); Arena arena = Arena.ofShared()) {
            System.out.println(oneDnn.describe());
            for (long[] shape : SHAPES) {
                for (DType type : new DType[] {DType.BF16, DType.F32}) {
                    Tensor weight = weight(arena, type, shape[1], shape[2]);
                    double[][] rates = new double[2][rounds];
                    for (int round = 0; round < rounds; round++) {
                        rates[0][round] = rate(java, shape, weight);
                        rates[1][round] = rate(oneDnn, shape, weight);
                    }
                    System.out.printf(Locale.ROOT, "%4d x %5d to %5d %-4s  java %s  onednn %s GFLOP/s%n", shape[0], shape[2], shape[1],
                            type, summary(rates[0]), summary(rates[1]));
                }
            }
        }
    }

    private static double rate(CpuOps ops, long[] shape, Tensor weight) {
        double flops = 2.0 * shape[0] * shape[1] * shape[2];
        int repeats = Math.clamp((long) (2e9 / flops), 1, 50);
        try (Frame _ = ops.frame()) {
            Tensor x = ops.alloc(Shape.of(1, shape[0], shape[2]));
            fill(HostRows.segment(x), DType.F32, x.shape().elements());
            Tensor out = ops.alloc(Shape.of(1, shape[0], shape[1]));
            Linear layer = new Linear(weight);
            ops.linear(x, layer, out);
            long start = System.nanoTime();
            for (int i = 0; i < repeats; i++) {
                ops.linear(x, layer, out);
            }
            return flops * repeats / (System.nanoTime() - start);
        }
    }

    private static String summary(double[] rates) {
        double[] sorted = rates.clone();
        Arrays.sort(sorted);
        return String.format(Locale.ROOT, "%6.1f (%.1f..%.1f)", sorted[sorted.length / 2], sorted[0], sorted[sorted.length - 1]);
    }

    private static Tensor weight(Arena arena, DType type, long out, long in) {
        MemorySegment segment = arena.allocate(type.bytes(out * in), 64);
        fill(segment, type, out * in);
        return Tensor.of("weight", type, Shape.of(out, in), new HostStorage(segment));
    }

    private static void fill(MemorySegment segment, DType type, long elements) {
        for (long i = 0; i < elements; i++) {
            float value = (i * 7919 % 1009) / 1009f - 0.5f;
            if (type == DType.F32) {
                segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
            } else {
                segment.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (Float.floatToRawIntBits(value) >>> 16));
            }
        }
    }
}
