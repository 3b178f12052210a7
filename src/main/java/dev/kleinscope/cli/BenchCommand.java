package dev.kleinscope.cli;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.cpu.Gemm;
import dev.kleinscope.backend.cuda.CudaOps;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelBlueprint;
import dev.kleinscope.weights.ModelFiles;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.EnumSet;
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
        description = {
            "Time a model: text encoding, the transformer's forward (plain, with probes that want nothing, with every block's norms, with "
                    + "every block's output copied to the host), its attention alone, decoding, a four-step picture, and loading.",
            "Times are wall clock. Inputs and the rotary table are on the device before the clock of a forward starts, as in a second "
                    + "denoising step, and it stops when the result can be read there. A picture goes from the prompt to 8-bit pixels "
                    + "in memory. Loading opens backend and files and ends with the first forward or encoding done; for files in the "
                    + "page cache run it twice. Plain forwards and those with probes or norms take turns.",
            "A profile, on the host only and only when asked for, times each operation of a forward and, in the same run, its products "
                    + "alone: how near the step comes to them."
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope bench --config klein-4b --size 256x256,512x512,1024x1024 --backend cuda",
            "      random weights, made on the GPU: no download, no file",
            "  kleinscope bench -m MODEL --size 256x256,512x512 --repeat 5 --json",
            "  kleinscope bench -m MODEL --what load,decode --size 512x512",
            "  kleinscope bench --what forward,probes --repeat 200",
            "      whether probes cost anything where nobody watches",
            "  kleinscope bench -m MODEL --backend cpu --what profile --repeat 1",
            "      where a step's time goes, and how far that is from its products alone",
            "  kleinscope bench -m MODEL --backend cpu --what forward --threads 1,2",
            "      one core against two",
        })
final class BenchCommand implements Callable<Integer> {

    /** What can be timed. */
    enum What {
        LOAD("load"), ENCODE("encode"), FORWARD("forward"), PROBES("forward, probes that want nothing"), NORMS("forward, norms of all blocks"),
        CAPTURE("forward, all blocks to the host"), ATTENTION("attention alone"), DECODE("decode"), IMAGE("four-step picture"),
        PROFILE("profile of a forward");

        private final String label;

        What(String label) {
            this.label = label;
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private static final int GPU_REPEAT = 20;
    private static final int GPU_WARMUP = 3;
    private static final int HOST_REPEAT = 3;
    private static final int HOST_WARMUP = 1;
    private static final int MOST_LOADS = 3;
    private static final int ATTENTION_CALLS = 20;

    @Mixin
    private ModelOptions model;

    @Mixin
    private BackendOptions backend;

    @Mixin
    private OutputOptions output;

    @Option(names = "--config", paramLabel = "SIZES",
            description = "Instead of a model: random weights of these sizes, as `synth` has them (" + RandomSizes.KLEIN_4B
                    + ", or a JSON file), made on the GPU or, where they are small, in memory.")
    private String config;

    @Option(names = "--seed", paramLabel = "SEED", defaultValue = "1",
            description = "What random weights are drawn from. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--size", paramLabel = "WxH", split = ",", converter = PictureSize.Converter.class, defaultValue = "256x256",
            description = "Picture sizes. Default: ${DEFAULT-VALUE}.")
    private List<PictureSize> sizes;

    @Option(names = "--max-tokens", paramLabel = "N", defaultValue = "512", description = "Text tokens. Default: ${DEFAULT-VALUE}.")
    private int maxTokens;

    @Option(names = "--what", paramLabel = "W", split = ",",
            description = "What to time: ${COMPLETION-CANDIDATES}. Default: all that the model has the parts for, but no profile.")
    private Set<What> what;

    @Option(names = "--repeat", paramLabel = "N",
            description = "Measured runs of each; loading has at most " + MOST_LOADS + ". Default: " + GPU_REPEAT + " on cuda, " + HOST_REPEAT
                    + " elsewhere.")
    private Integer repeat;

    @Option(names = "--warmup", paramLabel = "N",
            description = "Runs of each before those, not measured; loading has none. Default: " + GPU_WARMUP + " on cuda, " + HOST_WARMUP
                    + " elsewhere.")
    private Integer warmup;

    @Option(names = "--threads", paramLabel = "N", split = ",",
            description = "Threads on the cpu backend, one count or several. Default: one for each processor.")
    private List<Integer> threads;

    /**
     * One timed operation.
     *
     * @param what the operation
     * @param part of the model that was loaded; else null
     * @param size of the picture; null where there is none
     * @param threads that were asked for; null where none were
     * @param runs that were measured
     * @param median seconds
     * @param least seconds
     * @param most seconds
     * @param gigaflops per second at the median; null where operations are not counted
     * @param seconds of each run, in order
     */
    record Timing(String what, String part, String size, Integer threads, int runs, double median, double least, double most, Double gigaflops,
            List<Double> seconds) {

        static Timing of(What what, String part, PictureSize size, Integer threads, Double gigaflop, List<Double> seconds) {
            double[] sorted = seconds.stream().mapToDouble(Double::doubleValue).sorted().toArray();
            double median = Median.withDefaults().withCopy(true).evaluate(sorted);
            return new Timing(what.toString(), part, size == null ? null : size.toString(), threads, sorted.length, median, sorted[0],
                    sorted[sorted.length - 1], gigaflop == null ? null : gigaflop / median, List.copyOf(seconds));
        }

        String label() {
            return What.valueOf(what.toUpperCase(Locale.ROOT)).label + (part == null ? "" : " " + part.replace('_', ' '))
                    + (size == null ? "" : " " + size)
                    + (threads == null ? "" : threads == 1 ? ", 1 thread" : ", " + threads + " threads");
        }
    }

    @Override
    public Integer call() {
        requireOptions();
        ModelBlueprint blueprint = config == null ? null : RandomSizes.of(config);
        Set<What> timed = what != null ? what : possible(files(blueprint, false));
        Console console = output.console();
        List<Timing> timings = new ArrayList<>();
        if (timed.contains(What.LOAD)) {
            load(blueprint, timings, console);
        }
        Map<String, Object> memory = new LinkedHashMap<>();
        List<StepProfile> profiles = new ArrayList<>();
        List<String> describe = new ArrayList<>();
        for (Integer count : threads == null ? Collections.<Integer>singletonList(null) : threads) {
            backend.threads(count);
            try (Ops ops = backend.open(); Klein klein = new Klein(files(blueprint, ops instanceof CudaOps), ops)) {
                describe.add(ops.describe());
                requireHost(ops, timed);
                settle(ops instanceof CudaOps);
                try (ProcessMemory peak = new ProcessMemory(); Progress progress = console.progress("bench", steps(timed))) {
                    BenchRuns runs = new BenchRuns(klein, ops, maxTokens, ops instanceof CudaOps ? ATTENTION_CALLS : 1,
                            (size, gigaflop, calls, taking) -> timings.addAll(time(size, gigaflop, calls, count, progress, taking)));
                    run(runs, timed);
                    if (timed.contains(What.PROFILE)) {
                        profile(runs, count, profiles, progress);
                    }
                    if (ProcessMemory.available()) {
                        memory.put("peak_anonymous_bytes", peak.anonymousPeak());
                        memory.put("peak_mapped_bytes", peak.filePeak());
                    }
                }
                if (ops instanceof CudaOps device) {
                    memory.put("device_weight_bytes", device.weightBytes());
                    memory.put("device_activation_bytes", device.activationBytes());
                }
            }
        }
        print(String.join("; ", describe), timings, profiles, memory, console);
        return ExitCodes.OK;
    }

    private void profile(BenchRuns runs, Integer count, List<StepProfile> profiles, Progress progress) {
        int used = count == null ? Runtime.getRuntime().availableProcessors() : count;
        boolean own = !Gemm.ONEDNN.toString().equals(backend.gemm());
        double line = own ? StepProfile.OWN_LINE : StepProfile.LINE;
        try (Ops f32 = new CpuOps(used, own ? Gemm.JAVA : Gemm.ONEDNN)) {
            for (PictureSize size : sizes) {
                profiles.add(runs.profile(size, repeat, line, f32, () -> progress.step(What.PROFILE.label)));
            }
        }
    }

    private void requireHost(Ops ops, Set<What> timed) {
        if (!(ops instanceof CpuOps) && (timed.contains(What.PROFILE) || threads != null)) {
            throw new UserInputException((threads != null ? "--threads" : "--what profile") + " needs --backend cpu, but " + backend.name()
                    + " is in use");
        }
    }

    private void settle(boolean cuda) {
        repeat = repeat != null ? repeat : cuda ? GPU_REPEAT : HOST_REPEAT;
        warmup = warmup != null ? warmup : cuda ? GPU_WARMUP : HOST_WARMUP;
    }

    private void requireOptions() {
        if (repeat != null && (repeat < 1 || repeat > 1000) || warmup != null && (warmup < 0 || warmup > 1000) || maxTokens < 16
                || maxTokens > 4096) {
            throw new UserInputException("--repeat takes 1 to 1000, --warmup 0 to 1000, --max-tokens 16 to 4096");
        }
        if (threads != null && threads.stream().anyMatch(count -> count < 1 || count > 1024)) {
            throw new UserInputException("--threads takes 1 to 1024");
        }
        if (config != null && model.given()) {
            throw new UserInputException("give --config, for random weights, or --model, not both");
        }
    }

    private ModelFiles files(ModelBlueprint blueprint, boolean cuda) {
        return blueprint == null ? model.files() : ModelFiles.random(config, blueprint, ModelOptions.bundled(), seed, !cuda);
    }

    private static Set<What> possible(ModelFiles files) {
        Set<What> possible = EnumSet.complementOf(EnumSet.of(What.PROFILE));
        boolean encodes = files.has(ComponentKind.TEXT_ENCODER) && files.has(ComponentKind.TOKENIZER);
        boolean draws = files.has(ComponentKind.TRANSFORMER);
        if (!encodes) {
            possible.removeAll(EnumSet.of(What.ENCODE, What.IMAGE));
        }
        if (!draws) {
            possible.removeAll(EnumSet.of(What.FORWARD, What.PROBES, What.NORMS, What.CAPTURE, What.ATTENTION, What.IMAGE));
        }
        if (!files.has(ComponentKind.VAE)) {
            possible.removeAll(EnumSet.of(What.DECODE, What.IMAGE));
        }
        if (!encodes && !draws) {
            possible.remove(What.LOAD);
        }
        return possible;
    }

    private void run(BenchRuns runs, Set<What> timed) {
        if (timed.contains(What.ENCODE)) {
            runs.encode();
        }
        for (PictureSize size : sizes) {
            if (!Collections.disjoint(timed, BenchRuns.FORWARDS)) {
                runs.forwards(size, timed);
            }
            if (timed.contains(What.ATTENTION)) {
                runs.attention(size);
            }
            if (timed.contains(What.DECODE)) {
                runs.decode(size);
            }
            if (timed.contains(What.IMAGE)) {
                runs.image(size);
            }
        }
    }

    private List<Timing> time(PictureSize size, Double gigaflop, int calls, Integer count, Progress progress, Map<What, Runnable> runs) {
        Map<What, List<Double>> seconds = new EnumMap<>(What.class);
        for (int i = 0; i < warmup + repeat; i++) {
            for (Map.Entry<What, Runnable> run : runs.entrySet()) {
                long start = System.nanoTime();
                run.getValue().run();
                double took = (System.nanoTime() - start) / 1e9 / calls;
                List<Double> all = seconds.computeIfAbsent(run.getKey(), _ -> new ArrayList<>());
                if (i >= warmup) {
                    all.add(took);
                }
                progress.step(run.getKey().label);
            }
        }
        return seconds.entrySet().stream().map(each -> Timing.of(each.getKey(), null, size, count, gigaflop, each.getValue())).toList();
    }

    /** Each part that computes from the prompt to the velocity, up to its first result, on a backend that was just opened. */
    private void load(ModelBlueprint blueprint, List<Timing> timings, Console console) {
        for (ComponentKind part : List.of(ComponentKind.TRANSFORMER, ComponentKind.TEXT_ENCODER)) {
            ModelFiles files = files(blueprint, false);
            if (!files.has(part) || part == ComponentKind.TEXT_ENCODER && !files.has(ComponentKind.TOKENIZER)) {
                continue;
            }
            List<Double> seconds = new ArrayList<>();
            int loads = 1;
            for (int i = 0; i < loads; i++) {
                long start = System.nanoTime();
                try (Ops ops = backend.open(); Klein klein = new Klein(files(blueprint, ops instanceof CudaOps), ops)) {
                    BenchRuns once = new BenchRuns(klein, ops, maxTokens, 1, (_, _, _, taking) -> taking.values().forEach(Runnable::run));
                    if (part == ComponentKind.TRANSFORMER) {
                        once.forwards(sizes.getFirst(), Set.of(What.FORWARD));
                    } else {
                        once.encode();
                    }
                    seconds.add((System.nanoTime() - start) / 1e9);
                    settle(ops instanceof CudaOps);
                    loads = ops instanceof CudaOps ? Math.min(repeat, MOST_LOADS) : 1;
                }
                console.note(String.format(Locale.ROOT, "loaded the %s: %.2f s", part.folder().replace('_', ' '), seconds.getLast()));
            }
            timings.add(Timing.of(What.LOAD, part.folder(), part == ComponentKind.TRANSFORMER ? sizes.getFirst() : null, null, null, seconds));
        }
    }

    private long steps(Set<What> timed) {
        long profiled = timed.contains(What.PROFILE) ? (long) (1 + repeat) * sizes.size() : 0;
        long perSize = timed.stream().filter(each -> each != What.ENCODE && each != What.LOAD && each != What.PROFILE).count();
        return (warmup + repeat) * ((timed.contains(What.ENCODE) ? 1 : 0) + perSize * sizes.size()) + profiled;
    }

    private void print(String describe, List<Timing> timings, List<StepProfile> profiles, Map<String, Object> memory, Console console) {
        String name = config == null ? model.name() : config;
        if (output.json()) {
            Map<String, Object> json = new LinkedHashMap<>();
            json.put("schema", "kleinscope.bench/2");
            json.put("kleinscope", Version.summary());
            json.put("date", LocalDate.now(ZoneOffset.UTC).toString());
            json.put("backend", backend.name());
            json.put("device", describe);
            json.put("precision", backend.precision());
            if (backend.gemm() != null) {
                json.put("gemm", backend.gemm());
            }
            if (backend.compat() != null) {
                json.put("compat", backend.compat());
            }
            json.put("processors", Runtime.getRuntime().availableProcessors());
            Map<String, String> versions = new LinkedHashMap<>();
            if (backend.name().equals("cuda")) {
                NativeProbe.libraries().forEach(library -> versions.put(library.name(), library.version()));
            }
            json.put("libraries", versions);
            json.put("model", name);
            json.put("weights", config == null ? "files" : "random");
            json.put("sizes", sizes.stream().map(PictureSize::toString).toList());
            json.put("text_tokens", maxTokens);
            json.put("warmup", warmup);
            json.put("repeat", repeat);
            json.put("timings", timings);
            json.put("probes_to_plain", TurnRatio.of(timings));
            if (!profiles.isEmpty()) {
                json.put("profiles", profiles);
            }
            json.putAll(memory);
            console.json(json);
            return;
        }
        console.result("backend " + describe + "; model " + name + (config == null ? "" : ", random weights") + "; " + repeat
                + " runs each after " + warmup);
        console.result(String.format(Locale.ROOT, "%-44s %10s %10s %10s %10s", "", "median ms", "least", "most", "GFLOP/s"));
        timings.forEach(timing -> console.result(String.format(Locale.ROOT, "%-44s %10.3f %10.3f %10.3f %10s", timing.label(),
                1e3 * timing.median(), 1e3 * timing.least(), 1e3 * timing.most(),
                timing.gigaflops() == null ? "" : String.format(Locale.ROOT, "%.1f", timing.gigaflops()))));
        TurnRatio.of(timings).forEach(ratio -> console.result(ratio.line()));
        profiles.forEach(profile -> profile.lines().forEach(console::result));
        memory.forEach((key, bytes) -> console.result(key.replace('_', ' ').replace(" bytes", "") + ": " + Doctor.bytes((Long) bytes)));
    }
}
