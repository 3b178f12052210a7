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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Prints GFLOP/s of linear layers on BF16 weights, turn about: by our own kernel, by oneDNN in f32, by oneDNN in bf16 where the CPU has
 * that, and in bf16 on activations that are rounded already, which is the ceiling. Median, least and most; each call takes other weights,
 * as in a step, so that they come from memory. Then how long the products of whole steps take at those rates. Run by hand:
 * {@code mvn -q test-compile && java --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED
 * -cp target/classes:target/test-classes:$DNNL_JAR dev.kleinscope.backend.cpu.ProductsBench [ROUNDS] [java,f32,bf16,ceiling]}.
 */
final class ProductsBench {

    /** Weights that follow one another, together more than any cache holds. */
    private static final long POOL_BYTES = 700L << 20;
    private static final long BLOCK = 1 << 20;

    /** Rows, inputs, outputs. */
    private record Layer(long rows, long in, long out) {

        double flops() {
            return 2.0 * rows * in * out;
        }

        @Override
        public String toString() {
            return String.format(Locale.ROOT, "%4d x %5d to %5d", rows, in, out);
        }
    }

    private interface Variant {
        void run(Tensor x, Linear layer, Tensor out);
    }

    private ProductsBench() {
    }

    public static void main(String[] arguments) {
        int rounds = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 9;
        List<String> wanted = Arrays.asList((arguments.length > 1 ? arguments[1] : "java,f32,bf16,ceiling").split(","));
        boolean half = CpuOps.whyNoBf16() == null;
        if (!half) {
            System.out.println("not in bf16: " + CpuOps.whyNoBf16());
        }
        int threads = Runtime.getRuntime().availableProcessors();
        try (CpuOps java = new CpuOps(threads); CpuOps f32 = new CpuOps(threads, Gemm.ONEDNN);
                CpuOps bf16 = half ? new CpuOps(threads, Gemm.ONEDNN, DType.BF16) : null;
                OneDnnProducts ceiling = new OneDnnProducts(null, threads); Arena arena = Arena.ofShared(); Frame _ = f32.frame();
                Frame _ = java.frame(); Frame _ = half ? bf16.frame() : f32.frame()) {
            System.out.println((half ? bf16 : f32).describe());
            Map<String, Variant> variants = new LinkedHashMap<>();
            variants.put("java", java::linear);
            variants.put("f32", f32::linear);
            if (half) {
                variants.put("bf16", bf16::linear);
                variants.put("ceiling", (x, layer, out) -> multiply(ceiling, x, layer, out));
            }
            variants.keySet().retainAll(wanted);
            MemorySegment pool = arena.allocate(POOL_BYTES, 64);
            fill(pool);
            Map<Layer, Map<String, Double>> rates = new LinkedHashMap<>();
            for (Layer layer : new Layer[] {new Layer(1, 3072, 18432), new Layer(512, 2560, 9728), new Layer(512, 9728, 2560),
                new Layer(256, 3072, 18432), new Layer(256, 9216, 3072), new Layer(768, 3072, 27648), new Layer(768, 12288, 3072),
                new Layer(1536, 3072, 27648), new Layer(1536, 12288, 3072)}) {
                rates.put(layer, measure(layer, rounds, variants, pool, arena));
            }
            for (String variant : variants.keySet()) {
                step(variant, 768, rates);
                step(variant, 1536, rates);
            }
        }
    }

    private static Map<String, Double> measure(Layer layer, int rounds, Map<String, Variant> variants, MemorySegment pool, Arena arena) {
        Tensor x = floats(arena, layer.rows, layer.in);
        Tensor half = Tensor.of("x", DType.BF16, x.shape(), new HostStorage(pool));
        Tensor out = floats(arena, layer.rows, layer.out);
        fill(HostRows.segment(x));
        Map<String, double[]> found = new LinkedHashMap<>();
        int[] next = {0};
        for (int round = -1; round < rounds; round++) {
            for (Map.Entry<String, Variant> variant : variants.entrySet()) {
                Tensor input = variant.getKey().equals("ceiling") ? half : x;
                int repeats = round < 0 ? 1 : Math.clamp((long) (5e10 / layer.flops()), 1, 50);
                long start = System.nanoTime();
                for (int i = 0; i < repeats; i++) {
                    variant.getValue().run(input, weights(pool, layer, next[0]++), out);
                }
                if (round >= 0) {
                    found.computeIfAbsent(variant.getKey(), _ -> new double[rounds])[round] =
                            layer.flops() * repeats / (System.nanoTime() - start);
                }
            }
        }
        Map<String, Double> medians = new LinkedHashMap<>();
        List<String> line = new ArrayList<>();
        found.forEach((variant, rates) -> {
            Arrays.sort(rates);
            medians.put(variant, rates[rounds / 2]);
            line.add(String.format(Locale.ROOT, "%s %.0f (%.0f to %.0f)", variant, rates[rounds / 2], rates[0], rates[rounds - 1]));
        });
        System.out.println(layer + "  " + String.join("  ", line) + " GFLOP/s");
        return medians;
    }

    /** All single blocks, and the double blocks at the rates of the narrower image rows. */
    private static void step(String variant, long rows, Map<Layer, Map<String, Double>> rates) {
        double seconds = 0;
        for (Map.Entry<Layer, Map<String, Double>> each : rates.entrySet()) {
            Layer layer = each.getKey();
            double rate = each.getValue().get(variant) * 1e9;
            if (layer.rows == rows) {
                seconds += 20 * layer.flops() / rate;
            } else if (layer.rows == 256 && layer.out == 18432) {
                seconds += 5 * 2.0 * rows * 3072 * (4 * 3072 + 18432) / rate;
            } else if (layer.rows == 256) {
                seconds += 5 * 2.0 * rows * 9216 * 3072 / rate;
            }
        }
        System.out.printf(Locale.ROOT, "the products of a step of %d rows at the rates of %s: %.2f s%n", rows, variant, seconds);
    }

    private static void multiply(OneDnnProducts products, Tensor x, Linear layer, Tensor out) {
        if (!products.multiply(x, layer, out)) {
            throw new IllegalStateException("oneDNN has no program for " + x + " times " + layer.weight());
        }
    }

    private static Linear weights(MemorySegment pool, Layer layer, int index) {
        long bytes = DType.BF16.bytes(layer.in * layer.out);
        long from = index % (POOL_BYTES / bytes) * bytes;
        return new Linear(Tensor.of("weight", DType.BF16, Shape.of(layer.out, layer.in), new HostStorage(pool.asSlice(from, bytes))));
    }

    private static Tensor floats(Arena arena, long rows, long columns) {
        return Tensor.of("activation", DType.F32, Shape.of(1, rows, columns), new HostStorage(arena.allocate(rows * columns * Float.BYTES, 64)));
    }

    /** Numbers of -0.5 to 0.5, as f32 and, more coarsely, as bf16. */
    private static void fill(MemorySegment segment) {
        long first = Math.min(BLOCK, segment.byteSize());
        for (long i = 0; i < first / Float.BYTES; i++) {
            int upper = Float.floatToRawIntBits((i * 7919 % 1009) / 1009f - 0.5f) & 0xffff0000;
            segment.setAtIndex(ValueLayout.JAVA_INT, i, upper | upper >>> 16);
        }
        for (long from = first; from < segment.byteSize(); from += first) {
            MemorySegment.copy(segment, 0, segment, from, Math.min(first, segment.byteSize() - from));
        }
    }
}
