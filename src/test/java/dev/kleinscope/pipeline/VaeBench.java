package dev.kleinscope.pipeline;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.model.vae.VaeConfig;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelComponent;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.WeightSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/**
 * Seconds and memory of the autoencoder on the CPU. Run by hand after {@code mvn test-compile}: {@code java --add-modules
 * jdk.incubator.vector -cp ... dev.kleinscope.pipeline.VaeBench MODEL SIDE [BUDGET_MIB]}. With a budget it decodes in
 * tiles where need be; without, it decodes and encodes whole and times each block.
 */
public final class VaeBench {

    private VaeBench() {
    }

    public static void main(String[] args) throws IOException {
        int side = Integer.parseInt(args[1]);
        ModelComponent component = ModelFiles.resolve(args[0]).component(ComponentKind.VAE);
        try (WeightSource weights = component.open(); CpuOps ops = new CpuOps()) {
            VaeConfig config = component.config() == null ? VaeConfig.infer(weights) : VaeConfig.from(component.config());
            long start = System.nanoTime();
            Vae vae = new Vae(weights, config, ops);
            System.out.printf("%s; weights ready after %.2f s%n", ops.describe(), seconds(start));
            HostTensor latents = normal(side / config.scale(), config.latentChannels());
            start = System.nanoTime();
            if (args.length > 2) {
                VaeDecoding decoding = new VaeDecoding(ops, vae, Long.parseLong(args[2]) << 20);
                System.out.println(decoding.plan(side / config.scale(), side / config.scale()));
                decoding.decode(latents);
                System.out.printf("decoded %d x %d in %.2f s%n", side, side, seconds(start));
            } else {
                try (Frame _ = ops.frame()) {
                    vae.decode(ops, ops.input(latents), timing());
                }
                System.out.printf("decoded %d x %d in %.2f s%n", side, side, seconds(start));
                report(ops);
                start = System.nanoTime();
                try (Frame _ = ops.frame()) {
                    vae.encode(ops, ops.input(normal(side, config.inChannels())), timing());
                }
                System.out.printf("encoded %d x %d in %.2f s%n", side, side, seconds(start));
            }
            report(ops);
        }
    }

    private static void report(CpuOps ops) throws IOException {
        System.out.printf("activations: at most %d MiB in use, %d MiB held%n", ops.peakBytes() >> 20, ops.bytesHeld() >> 20);
        Path status = Path.of("/proc/self/status");
        if (Files.exists(status)) {
            Files.readAllLines(status).stream().filter(line -> line.startsWith("VmHWM") || line.startsWith("RssAnon"))
                    .forEach(System.out::println);
        }
    }

    private static Probes timing() {
        long[] last = {System.nanoTime()};
        return Probes.of(new Observer() {
            @Override
            public boolean wants(String point) {
                return !point.endsWith("norm_out");
            }

            @Override
            public void saw(int step, Pass pass, String point, Tensor tensor) {
                System.out.printf("  %6.2f s to %s %s%n", seconds(last[0]), point, tensor.shape());
                last[0] = System.nanoTime();
            }
        }, 0, Pass.COND);
    }

    private static double seconds(long since) {
        return (System.nanoTime() - since) / 1e9;
    }

    private static HostTensor normal(int side, long channels) {
        Random random = new Random(1);
        float[] values = new float[Math.toIntExact((long) side * side * channels)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("normal", values, 1, side, side, channels);
    }
}
