package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.io.IOException;
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
 * that, and in bf16 on activations that are rounded already, which is the ceiling; if asked for, also by numpy's OpenBLAS on f32 weights. Median, least
 * and most; each call but OpenBLAS's takes other weights, as in a step, so that they come from memory. Then how long the products of whole steps take at those rates. Run by hand:
 * {@code mvn -q test-compile && java --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED
 * -cp target/classes:target/test-classes:$DNNL_JAR dev.kleinscope.backend.cpu.ProductsBench [ROUNDS] [java,f32,bf16,ceiling,openblas]
 * [768x3072x27648,..]}.
 */
final class ProductsBench {

    /** Weights that follow one another, together more than any cache holds. */
    private static final long POOL_BYTES = 700L << 20;
    private static final long BLOCK = 1 << 20;
    private static final double WARM_FLOPS = 1e10;
    private static final double TIMED_FLOPS = 5e10;
    /** After which one's threads no longer wait for work on the other's cores. */
    private static final long PAUSE_MILLIS = 250;
    private static final List<Layer> LAYERS = List.of(new Layer(1, 3072, 18432), new Layer(512, 2560, 9728), new Layer(512, 9728, 2560),
            new Layer(256, 3072, 18432), new Layer(256, 9216, 3072), new Layer(768, 3072, 27648), new Layer(768, 12288, 3072),
            new Layer(1536, 3072, 27648), new Layer(1536, 12288, 3072));

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

    /** Nanoseconds of as many products. */
    private interface Variant {
        long time(Layer layer, int repeats, Tensor x, Tensor out);
    }

    private interface Product {
        void run(Tensor x, Linear layer, Tensor out);
    }

    /** Takes other weights each time. */
    private static final class Ours implements Variant {

        private final MemorySegment pool;
        private final Product product;
        private final boolean rounded;
        private int next;

        Ours(MemorySegment pool, boolean rounded, Product product) {
            this.pool = pool;
            this.rounded = rounded;
            this.product = product;
        }

        @Override
        public long time(Layer layer, int repeats, Tensor x, Tensor out) {
            Tensor input = rounded ? Tensor.of("x", DType.BF16, x.shape(), new HostStorage(pool)) : x;
            long start = System.nanoTime();
            for (int i = 0; i < repeats; i++) {
                product.run(input, weights(pool, layer, next++), out);
            }
            return System.nanoTime() - start;
        }
    }

    private ProductsBench() {
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        int rounds = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 9;
        List<String> wanted = Arrays.asList((arguments.length > 1 ? arguments[1] : "java,f32,bf16,ceiling").split(","));
        boolean half = CpuOps.whyNoBf16() == null;
        if (!half) {
            System.out.println("not in bf16: " + CpuOps.whyNoBf16());
        }
        int threads = Runtime.getRuntime().availableProcessors();
        try (CpuOps java = new CpuOps(threads); CpuOps f32 = new CpuOps(threads, Gemm.ONEDNN);
                CpuOps bf16 = half ? new CpuOps(threads, Gemm.ONEDNN, DType.BF16) : null;
                OneDnnProducts ceiling = new OneDnnProducts(null, threads);
                OpenBlasPeer blas = wanted.contains("openblas") ? new OpenBlasPeer(threads) : null; Arena arena = Arena.ofShared(); Frame _ = f32.frame();
                Frame _ = java.frame(); Frame _ = half ? bf16.frame() : f32.frame()) {
            System.out.println((half ? bf16 : f32).describe());
            Map<String, Variant> variants = new LinkedHashMap<>();
            MemorySegment pool = arena.allocate(POOL_BYTES, 64);
            fill(pool);
            variants.put("java", new Ours(pool, false, java::linear));
            variants.put("f32", new Ours(pool, false, f32::linear));
            if (half) {
                variants.put("bf16", new Ours(pool, false, bf16::linear));
                variants.put("ceiling", new Ours(pool, true, (x, layer, out) -> multiply(ceiling, x, layer, out)));
            }
            if (blas != null) {
                variants.put("openblas", (layer, repeats, _, _) -> blas.time(layer.rows, layer.in, layer.out, repeats));
            }
            variants.keySet().retainAll(wanted);
            Map<Layer, Map<String, Double>> rates = new LinkedHashMap<>();
            for (Layer layer : arguments.length > 2 ? layers(arguments[2]) : LAYERS) {
                rates.put(layer, measure(layer, rounds, variants, arena));
            }
            for (String variant : variants.keySet()) {
                if (rates.keySet().containsAll(LAYERS)) {
                    step(variant, 768, rates);
                    step(variant, 1536, rates);
                }
            }
        }
    }

    /** As in {@code 768x3072x27648,1x3072x18432}: rows, inputs, outputs. */
    private static List<Layer> layers(String text) {
        return Arrays.stream(text.split(",")).map(layer -> {
            long[] sizes = Arrays.stream(layer.split("x")).mapToLong(Long::parseLong).toArray();
            return new Layer(sizes[0], sizes[1], sizes[2]);
        }).toList();
    }

    private static Map<String, Double> measure(Layer layer, int rounds, Map<String, Variant> variants, Arena arena)
            throws InterruptedException {
        Tensor x = floats(arena, layer.rows, layer.in);
        Tensor out = floats(arena, layer.rows, layer.out);
        fill(HostRows.segment(x));
        Map<String, double[]> found = new LinkedHashMap<>();
        for (int round = -1; round < rounds; round++) {
            for (Map.Entry<String, Variant> variant : variants.entrySet()) {
                int repeats = Math.clamp((long) ((round < 0 ? WARM_FLOPS : TIMED_FLOPS) / layer.flops()), 1, 50);
                Thread.sleep(PAUSE_MILLIS);
                double rate = layer.flops() * repeats / variant.getValue().time(layer, repeats, x, out);
                if (round >= 0) {
                    found.computeIfAbsent(variant.getKey(), _ -> new double[rounds])[round] = rate;
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
