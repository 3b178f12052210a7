package dev.kleinscope.backend.cpu;

import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.DitFlops;
import dev.kleinscope.model.dit.PositionIds;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelFiles;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/**
 * Prints how long a forward takes with products in bf16, and how much of it is products on activations that are rounded already, rounding,
 * and each other operation; or, told {@code compare}, how far it is from a forward in f32. By hand, on a CPU with such products:
 * {@code java --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED -cp target/classes:target/test-classes:...
 * dev.kleinscope.backend.cpu.Bf16StepBench MODEL 256,512 REPEATS|compare}.
 */
final class Bf16StepBench {

    private static final int TEXT_TOKENS = 512;

    private final Map<String, Long> nanos = new TreeMap<>();
    private double flops;

    private Bf16StepBench() {
    }

    public static void main(String[] arguments) {
        int threads = Runtime.getRuntime().availableProcessors();
        for (String size : arguments[1].split(",")) {
            int tokens = Integer.parseInt(size) / 16;
            if (arguments[2].equals("compare")) {
                compare(arguments[0], tokens, threads);
            } else {
                new Bf16StepBench().time(arguments[0], tokens, threads, Integer.parseInt(arguments[2]));
            }
        }
    }

    private static void compare(String model, int tokens, int threads) {
        List<float[]> velocities = new ArrayList<>();
        for (DType precision : new DType[] {DType.F32, DType.BF16}) {
            try (CpuOps ops = new CpuOps(threads, Gemm.ONEDNN, precision)) {
                new Bf16StepBench().forwards(model, ops, tokens, 1, velocity -> velocities.add(velocity.values()));
            }
        }
        System.out.println(16 * tokens + ": bf16 against f32: " + Difference.of(velocities.get(1), velocities.get(0)));
    }

    private void time(String model, int tokens, int threads, int repeats) {
        try (CpuOps ops = new CpuOps(threads, (workers, frames) -> {
            OneDnnProducts oneDnn = new OneDnnProducts(new JavaProducts(workers), threads);
            return new Bf16Products(workers, frames, oneDnn, (x, layer, out) -> {
                long start = System.nanoTime();
                boolean done = oneDnn.multiply(x, layer, out);
                nanos.merge("products in bf16", System.nanoTime() - start, Long::sum);
                return done;
            }, oneDnn::prepare);
        })) {
            Ops timed = (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class},
                    (proxy, method, values) -> call(ops, proxy, method, values));
            double[] seconds = forwards(model, timed, tokens, repeats, _ -> { });
            System.out.printf(Locale.ROOT, "%d, %s: median %.2f s of %s%n", 16 * tokens, ops.describe(), median(seconds),
                    Arrays.toString(Arrays.stream(seconds).map(s -> Math.round(1e3 * s) / 1e3).toArray()));
        }
        double per = 1e9 * repeats;
        double products = nanos.get("products in bf16") / per;
        nanos.put("linear", nanos.get("linear") - nanos.get("products in bf16"));
        System.out.printf(Locale.ROOT, "  products in bf16 %.2f s, %.0f GFLOP/s; beside them:", products, flops / products / 1e9);
        nanos.entrySet().stream().filter(each -> !each.getKey().equals("products in bf16") && each.getValue() / per >= 0.005)
                .sorted(Comparator.comparing((Map.Entry<String, Long> each) -> -each.getValue()))
                .forEach(each -> System.out.printf(Locale.ROOT, " %s %.2f s", each.getKey().equals("linear") ? "rounding and f32 products" : each.getKey(),
                        each.getValue() / per));
        System.out.println();
    }

    /** Forms that are made of others are taken apart, those with an output are not. */
    private Object call(CpuOps ops, Object proxy, Method method, Object[] values) throws Throwable {
        if (method.isDefault() && method.getReturnType() != void.class) {
            return InvocationHandler.invokeDefault(proxy, method, values);
        }
        long start = System.nanoTime();
        try {
            return method.invoke(ops, values);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        } finally {
            nanos.merge(method.getName(), System.nanoTime() - start, Long::sum);
        }
    }

    private interface Seen {
        void velocity(HostTensor velocity);
    }

    private double[] forwards(String model, Ops ops, int tokens, int repeats, Seen seen) {
        try (Klein klein = new Klein(ModelFiles.resolve(model), ops); Frame _ = ops.frame()) {
            Dit dit = klein.dit();
            PositionIds txtIds = PositionIds.text(TEXT_TOKENS);
            PositionIds imgIds = PositionIds.image(tokens, tokens);
            Tensor noise = ops.input(normal(1, 1, (long) tokens * tokens, dit.config().inChannels()));
            Tensor embeds = ops.input(normal(2, 1, TEXT_TOKENS, dit.config().textDim()));
            Rope rope = dit.rope(ops, txtIds, imgIds);
            flops = DitFlops.linears(dit.config(), imgIds.tokens(), TEXT_TOKENS);
            double[] seconds = new double[repeats];
            for (int i = -1; i < repeats; i++) {
                if (i == 0) {
                    nanos.clear();
                }
                long start = System.nanoTime();
                try (Frame _ = ops.frame()) {
                    Tensor velocity = dit.forward(ops, noise, embeds, new float[] {0.5f}, null, txtIds, imgIds, rope, Probes.NONE);
                    if (i >= 0) {
                        seconds[i] = (System.nanoTime() - start) / 1e9;
                        seen.velocity(velocity.toHost());
                    }
                }
            }
            return seconds;
        }
    }

    private static HostTensor normal(long seed, long... dims) {
        Random random = new Random(seed);
        float[] values = new float[Math.toIntExact(new Shape(dims).elements())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("normal", values, dims);
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }
}
