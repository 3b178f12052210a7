package dev.kleinscope.cli;

import dev.kleinscope.analysis.NormsProbe;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.DitFlops;
import dev.kleinscope.model.dit.PositionIds;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Latents;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import org.apache.commons.statistics.descriptive.Median;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope bench}: how long a model takes here. */
@Command(
        name = "bench",
        description = "Time text encoding, the transformer's forward, plain and with every block's norms, and decoding.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope bench -m MODEL --size 256x256",
            "  kleinscope bench -m MODEL --size 256x256,512x512 --repeat 5 --json",
            "  kleinscope bench -m MODEL --what decode --size 512x512",
        })
final class BenchCommand implements Callable<Integer> {

    /** What can be timed. */
    enum What {
        ENCODE, FORWARD, NORMS, DECODE;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private static final String PROMPT = "A bucket of red paint spilled on a wooden floor";

    @Mixin
    private ModelOptions model;

    @Mixin
    private BackendOptions backend;

    @Mixin
    private OutputOptions output;

    @Option(names = "--size", paramLabel = "WxH", split = ",", converter = PictureSize.Converter.class, defaultValue = "256x256",
            description = "Picture sizes. Default: ${DEFAULT-VALUE}.")
    private List<PictureSize> sizes;

    @Option(names = "--max-tokens", paramLabel = "N", defaultValue = "512", description = "Text tokens. Default: ${DEFAULT-VALUE}.")
    private int maxTokens;

    @Option(names = "--what", paramLabel = "W", split = ",", defaultValue = "encode,forward,norms,decode",
            description = "What to time: ${COMPLETION-CANDIDATES}. Default: all.")
    private Set<What> what;

    @Option(names = "--repeat", paramLabel = "N", defaultValue = "3",
            description = "Measured runs of each, after one that is not. Default: ${DEFAULT-VALUE}.")
    private int repeat;

    @Option(names = "--precision", paramLabel = "P",
            description = "Arithmetic: ${COMPLETION-CANDIDATES}. Default: bf16 on cuda, f32 elsewhere.")
    private Precision precision;

    /**
     * One timed operation.
     *
     * @param what the operation
     * @param median seconds
     * @param least seconds
     * @param most seconds
     * @param gigaflops per second at the median; null where operations are not counted
     */
    record Timing(String what, double median, double least, double most, Double gigaflops) {
    }

    @Override
    public Integer call() {
        if (repeat < 1 || repeat > 1000 || maxTokens < 16 || maxTokens > 4096) {
            throw new UserInputException("--repeat takes 1 to 1000, --max-tokens 16 to 4096");
        }
        Console console = output.console();
        List<Timing> timings = new ArrayList<>();
        Map<String, Object> memory = new LinkedHashMap<>();
        String describe;
        try (Ops ops = backend.open(precision); Klein klein = new Klein(model.files(), ops); ProcessMemory peak = new ProcessMemory();
                Progress progress = console.progress("bench", steps())) {
            describe = ops.describe();
            if (what.contains(What.ENCODE)) {
                Prompt prompt = klein.tokenizer().prompt(PROMPT, maxTokens);
                timings.add(time("encode " + maxTokens + " tokens", null, progress, () -> klein.encode(prompt)));
            }
            for (PictureSize size : sizes) {
                forward(size, klein, ops, timings, progress);
                decode(size, klein, timings, progress);
            }
            if (ProcessMemory.available()) {
                memory.put("peak_anonymous_bytes", peak.anonymousPeak());
                memory.put("peak_mapped_bytes", peak.filePeak());
            }
        }
        print(describe, timings, memory, console);
        return ExitCodes.OK;
    }

    private long steps() {
        int perSize = (int) what.stream().filter(timed -> timed != What.ENCODE).count();
        return (long) (repeat + 1) * ((what.contains(What.ENCODE) ? 1 : 0) + perSize * sizes.size());
    }

    private void decode(PictureSize size, Klein klein, List<Timing> timings, Progress progress) {
        if (what.contains(What.DECODE)) {
            Shape shape = klein.latentShape(size.width(), size.height());
            HostTensor latents = normal("latents", shape);
            timings.add(time("decode " + size, null, progress, () -> klein.pictures().decode(latents)));
        }
    }

    private static HostTensor normal(String name, Shape shape) {
        return new HostTensor(name, shape, TorchNoise.randn(TorchNoise.Kind.TORCH_CPU, TorchNoise.Type.F32, 1, shape.dims()));
    }

    private void forward(PictureSize size, Klein klein, Ops ops, List<Timing> timings, Progress progress) {
        Dit dit = klein.dit();
        Shape shape = klein.latentShape(size.width(), size.height());
        HostTensor noise = Latents.pack(normal("latents", shape));
        HostTensor embeds = normal("prompt embeddings", Shape.of(1, maxTokens, dit.config().textDim()));
        PositionIds txtIds = PositionIds.text(maxTokens);
        PositionIds imgIds = PositionIds.image((int) shape.dim(2), (int) shape.dim(3));
        double gigaflop = (DitFlops.linears(dit.config(), imgIds.tokens(), maxTokens)
                + DitFlops.attention(dit.config(), imgIds.tokens(), maxTokens)) / 1e9;
        for (What timed : List.of(What.FORWARD, What.NORMS)) {
            if (!what.contains(timed)) {
                continue;
            }
            boolean watched = timed == What.NORMS;
            try (NormsProbe norms = watched ? NormsProbe.blockNorms(klein) : null) {
                Runnable run = () -> {
                    try (Frame _ = ops.frame()) {
                        Rope rope = dit.rope(ops, txtIds, imgIds);
                        Tensor velocity = dit.forward(ops, ops.input(noise), ops.input(embeds), new float[] {0.5f},
                                dit.config().guidanceEmbeds() ? new float[] {4} : null, txtIds, imgIds, rope,
                                watched ? Probes.of(norms, 0, Pass.COND) : Probes.NONE);
                        if (watched) {
                            norms.done(0, Pass.COND);
                        }
                        velocity.toHost();
                    }
                };
                timings.add(time("forward " + size + (watched ? ", norms of all blocks" : ""), gigaflop, progress, run));
            }
        }
    }

    private Timing time(String name, Double gigaflop, Progress progress, Runnable run) {
        run.run();
        progress.step(name);
        double[] seconds = new double[repeat];
        for (int i = 0; i < repeat; i++) {
            long start = System.nanoTime();
            run.run();
            seconds[i] = (System.nanoTime() - start) / 1e9;
            progress.step(name);
        }
        java.util.Arrays.sort(seconds);
        double median = Median.withDefaults().evaluate(seconds);
        return new Timing(name, median, seconds[0], seconds[repeat - 1], gigaflop == null ? null : gigaflop / median);
    }

    private void print(String describe, List<Timing> timings, Map<String, Object> memory, Console console) {
        if (output.json()) {
            Map<String, Object> json = new LinkedHashMap<>();
            json.put("schema", "kleinscope.bench/1");
            json.put("kleinscope", Version.summary());
            json.put("backend", describe);
            json.put("model", model.name());
            json.put("timings", timings);
            json.putAll(memory);
            console.json(json);
            return;
        }
        console.result("backend " + describe + "; model " + model.name() + "; " + repeat + " runs each");
        console.result(String.format(Locale.ROOT, "%-44s %10s %10s %10s %10s", "", "median s", "least", "most", "GFLOP/s"));
        timings.forEach(timing -> console.result(String.format(Locale.ROOT, "%-44s %10.3f %10.3f %10.3f %10s", timing.what(),
                timing.median(), timing.least(), timing.most(),
                timing.gigaflops() == null ? "" : String.format(Locale.ROOT, "%.1f", timing.gigaflops()))));
        memory.forEach((name, bytes) -> console.result(name.replace('_', ' ').replace(" bytes", "") + ": " + Doctor.bytes((Long) bytes)));
    }
}
