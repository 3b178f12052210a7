package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.VaeDecoding;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelFiles;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/** Times the autoencoder's decoder on a GPU, operation by operation. Arguments: a model folder, then sides of pictures. */
final class VaeBench {

    private static final int REPEATS = 9;

    private record Span(String name, MemorySegment start, MemorySegment stop) {
    }

    private final Arena arena = Arena.ofConfined();
    private final CudaOps ops;
    private final Cuda cuda;
    private final DeviceMemory memory;
    private final List<Span> spans = new ArrayList<>();

    private VaeBench(CudaOps ops) throws ReflectiveOperationException {
        this.ops = ops;
        cuda = (Cuda) field("cuda").get(ops);
        memory = (DeviceMemory) field("memory").get(ops);
    }

    private static Field field(String name) throws ReflectiveOperationException {
        Field field = CudaOps.class.getDeclaredField(name);
        field.setAccessible(true);
        return field;
    }

    public static void main(String[] args) throws ReflectiveOperationException {
        try (CudaOps ops = new CudaOps(Precision.BF16); Klein klein = new Klein(ModelFiles.resolve(args[0]), ops)) {
            System.out.println(ops.describe());
            VaeBench bench = new VaeBench(ops);
            for (String side : Arrays.asList(args).subList(1, args.length)) {
                bench.side(Integer.parseInt(side), klein);
            }
        }
    }

    private void side(int side, Klein klein) {
        Vae vae = klein.vae();
        HostTensor latents = normal(1, side / 8, side / 8, vae.config().latentChannels());
        VaeDecoding decoding = new VaeDecoding(ops, vae, 16L << 30);
        long begin = System.nanoTime();
        HostTensor first = decoding.decode(latents);
        System.out.printf("%dx%d: first decode %.2f s%n", side, side, (System.nanoTime() - begin) / 1e9);
        System.out.println("  same bits: " + Arrays.equals(first.values(), decoding.decode(latents).values())
                + ", |x| " + first.norm() + ", activations " + (memory.pooledBytes() >> 20) + " MiB, weights "
                + (memory.keptBytes() >> 20) + " MiB");
        HostTensor tokens = normal(1, 4 * vae.config().latentChannels(), side / 16, side / 16);
        print("decode, host latents to host picture", times(() -> decoding.decode(latents)));
        for (long budget : new long[] {3L << 30, 3L << 29}) {
            VaeDecoding tiled = new VaeDecoding(ops, vae, budget);
            if (!tiled.plan(side / 8, side / 8).whole()) {
                float[] picture = tiled.decode(latents).values();
                double most = 0;
                for (int i = 0; i < picture.length; i++) {
                    most = Math.max(most, Math.abs(picture[i] - first.values()[i]));
                }
                System.out.printf("  within %d MiB: %s, farthest from the whole %.3f%n", budget >> 20, tiled.plan(side / 8, side / 8), most);
            }
        }
        print("pictures.decode, to planes of 0 to 1", times(() -> klein.pictures().decode(tokens)));
        try (Frame _ = ops.frame()) {
            Tensor input = ops.input(latents);
            print("on the device alone", times(() -> {
                try (Frame _ = ops.frame()) {
                    vae.decode(ops, input, Probes.NONE);
                    cuda.synchronize();
                }
            }));
            try (Frame _ = ops.frame()) {
                Tensor picture = vae.decode(ops, input, Probes.NONE);
                print("toHost", times(picture::toHost));
            }
            breakdown(vae, input);
        }
    }

    private void breakdown(Vae vae, Tensor input) {
        Ops watched = (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (_, method, arguments) -> {
            try {
                if (method.getName().equals("frame") || method.getName().equals("alloc")) {
                    return method.invoke(ops, arguments);
                }
                String name = method.getName() + " " + (arguments[0] instanceof Tensor x ? x.shape() : "")
                        + (arguments.length > 1 && arguments[1] instanceof dev.kleinscope.ops.Conv2d c ? " " + c.weight().shape() : "");
                Span span = new Span(name, event(), event());
                Object result = method.invoke(ops, arguments);
                CudaDriver.cuEventRecord(span.stop, cuda.stream());
                spans.add(span);
                return result;
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
        Map<String, double[]> sums = new TreeMap<>();
        for (int repeat = 0; repeat < 5; repeat++) {
            spans.clear();
            try (Frame _ = ops.frame()) {
                vae.decode(watched, input, Probes.NONE);
            }
            cuda.synchronize();
            Map<String, double[]> once = new TreeMap<>();
            for (Span span : spans) {
                MemorySegment ms = arena.allocate(ValueLayout.JAVA_FLOAT);
                Cuda.driver(CudaDriver.cuEventElapsedTime_v2(ms, span.start, span.stop), "cuEventElapsedTime");
                double[] sum = once.computeIfAbsent(span.name, _ -> new double[2]);
                sum[0] += ms.get(ValueLayout.JAVA_FLOAT, 0);
                sum[1]++;
            }
            once.forEach((name, sum) -> sums.merge(name, sum, (x, y) -> x[0] < y[0] ? x : y));
        }
        Map<String, Double> kinds = new TreeMap<>();
        sums.forEach((name, sum) -> kinds.merge(name.substring(0, name.indexOf(' ')), sum[0], Double::sum));
        System.out.println("  by kind: " + kinds);
        sums.entrySet().stream().sorted((x, y) -> Double.compare(y.getValue()[0], x.getValue()[0])).limit(26)
                .forEach(entry -> System.out.printf("  %7.3f ms %2.0f x %s%n", entry.getValue()[0], entry.getValue()[1], entry.getKey()));
    }

    private MemorySegment event() {
        MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
        Cuda.driver(CudaDriver.cuEventCreate(pointer, CudaDriver.CU_EVENT_DEFAULT()), "cuEventCreate");
        MemorySegment event = pointer.get(ValueLayout.ADDRESS, 0);
        Cuda.driver(CudaDriver.cuEventRecord(event, cuda.stream()), "cuEventRecord");
        return event;
    }

    private static double[] times(Runnable run) {
        double[] times = new double[REPEATS];
        run.run();
        run.run();
        for (int i = 0; i < REPEATS; i++) {
            long start = System.nanoTime();
            run.run();
            times[i] = (System.nanoTime() - start) / 1e6;
        }
        Arrays.sort(times);
        return times;
    }

    private static void print(String what, double[] times) {
        System.out.printf("  %-40s median %7.2f ms, %.2f to %.2f%n", what, times[REPEATS / 2], times[0], times[REPEATS - 1]);
    }

    private static HostTensor normal(long... dims) {
        Random random = new Random(5);
        float[] values = new float[(int) Arrays.stream(dims).reduce(1, (a, b) -> a * b)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("normal", values, dims);
    }
}
