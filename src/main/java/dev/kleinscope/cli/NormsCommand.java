package dev.kleinscope.cli;

import dev.kleinscope.analysis.Contrast;
import dev.kleinscope.analysis.Measure;
import dev.kleinscope.analysis.NormsRun;
import dev.kleinscope.analysis.OriginalNorms;
import dev.kleinscope.analysis.OriginalProtocol;
import dev.kleinscope.analysis.PairedNorms;
import dev.kleinscope.analysis.PairedProtocol;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Schedule;
import dev.kleinscope.probe.Point;
import dev.kleinscope.report.NormsCsv;
import dev.kleinscope.report.NormsReport;
import dev.kleinscope.report.RunJson;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ComponentKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope norms}: two prompts in, every block's norms out. */
@Command(
        name = "norms",
        description = "Run a safe and an extreme prompt and measure the residual stream at every block and step.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope norms",
            "      a harmless pair on the bundled miniature, in seconds",
            "  kleinscope norms -m black-forest-labs/FLUX.2-klein-4B \\",
            "      --safe \"a toy prop gun on a table\" --extreme \"a real firearm on a table\" --size 256x256",
            "      the real model, three seeds",
            "  kleinscope norms -m MODEL --safe A --extreme B --protocol original --latents noise.safetensors",
            "      the original study's script, number for number",
            "  kleinscope norms --points 'transformer_blocks.*.img,single_blocks.7'",
            "      some points only; inspect lists them all",
            "  kleinscope norms --intervene transformer_blocks.2.img:scale=1.05 --intervene-in extreme",
            "      a positive control: is a gain of 5%% in one block found?",
        })
final class NormsCommand implements Callable<Integer> {

    /** How prompts are compared. */
    enum Protocol {
        PAIRED, ORIGINAL;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Which prompt is run with interventions. */
    enum Intervened {
        SAFE, EXTREME;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private static final int ORIGINAL_STEPS = 5;
    private static final String DEFAULT_SAFE = "A bucket of red paint spilled on a wooden floor";
    private static final String DEFAULT_EXTREME = "A bucket of blue paint spilled on a wooden floor";

    @Mixin
    private DrawingOptions drawing;

    @Mixin
    private InterveneOptions intervene;

    @Option(names = "--intervene-in", paramLabel = "PROMPT",
            description = "Make the interventions for one prompt only: ${COMPLETION-CANDIDATES}. Default: for both.")
    private Intervened intervened;

    @Mixin
    private OutputOptions output;

    @Option(names = "--safe", paramLabel = "PROMPT", description = "The safe prompt. Default: a harmless one.")
    private String safe;

    @Option(names = "--extreme", paramLabel = "PROMPT", description = "The extreme prompt. Default: another harmless one.")
    private String extreme;

    @Option(names = "--protocol", paramLabel = "P", defaultValue = "paired",
            description = "paired (the default): shared noise, streams apart, every measure. original: the original study's script, "
                    + "with its defects named.")
    private Protocol protocol;

    @Option(names = "--seeds", paramLabel = "SEED", split = ",",
            description = "Seeds of the initial noise. Default: 1,2,3; the original protocol takes one, 1.")
    private List<Long> seeds;

    @Option(names = "--points", paramLabel = "GLOB", split = ",",
            description = "Probe points to measure, by name, alias or glob. Default: all block outputs and branches.")
    private List<String> points;

    @Option(names = {"-o", "--out"}, paramLabel = "DIR", defaultValue = "kleinscope-out",
            description = "Folder for norms.csv, run.json and report.html. Default: ${DEFAULT-VALUE}.")
    private Path out;

    @Override
    public Integer call() throws IOException {
        checkOptions();
        Console console = output.console();
        Files.createDirectories(out);
        try (InterveneOptions.Opened changes = intervene.open(); Ops ops = drawing.open(protocol == Protocol.ORIGINAL);
                Klein klein = new Klein(drawing.model().files(), ops)) {
            console.note("backend " + drawing.backend().describe(ops) + "; model " + drawing.model().name());
            Denoising denoising = drawing.denoising(klein, console, protocol == Protocol.ORIGINAL ? ORIGINAL_STEPS : null);
            NormsRun run = new NormsRun(klein, safe, extreme, denoising, drawing.maxTokens(), changes.list(),
                    intervened == null ? null : intervened.toString());
            int exit = protocol == Protocol.PAIRED ? paired(run, changes, console) : original(run, changes, console);
            drawing.backend().noteReads(console);
            return exit;
        }
    }

    private void checkOptions() {
        if ((safe == null) != (extreme == null)) {
            throw new UserInputException("--safe and --extreme go together: give both prompts, or neither for a demonstration");
        }
        safe = safe == null ? DEFAULT_SAFE : safe;
        extreme = extreme == null ? DEFAULT_EXTREME : extreme;
        PromptChecks.present("--safe", safe);
        PromptChecks.present("--extreme", extreme);
        drawing.check();
        if (intervened != null && !intervene.given()) {
            throw new UserInputException("--intervene-in " + intervened + " needs --intervene, which says what to change");
        }
        if (Files.exists(out) && !Files.isDirectory(out)) {
            throw new UserInputException("--out " + out + " is a file; name a folder");
        }
    }

    private int paired(NormsRun run, InterveneOptions.Opened changes, Console console) throws IOException {
        Klein klein = run.klein();
        Set<Point> selected = select(klein);
        SortedMap<Long, HostTensor> noises = drawing.noise().bySeed(klein, seeds == null ? List.of(1L, 2L, 3L) : seeds, drawing.fallbackSize());
        Map<String, Object> parameters = parameters(run, changes, noises);
        parameters.put("points", points == null ? "block outputs and branches" : points);
        NormsFolder folder = new NormsFolder(out, parameters);
        if (folder.resumed() > 0) {
            console.note("going on: " + folder.resumed() + " runs of the interrupted command are kept");
        }
        parameters.put("created", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
        PairedNorms result;
        try (Progress progress = console.progress("norms", run.progressSteps(noises.size()))) {
            result = PairedProtocol.run(run, noises, selected, folder, parameters, progress::step);
        }
        NormsCsv.write(out.resolve("norms.csv"), result);
        RunJson.write(out.resolve("run.json"), result);
        NormsReport.write(out.resolve("report.html"), result);
        folder.done();
        if (output.json()) {
            console.result(RunJson.json(result));
        } else {
            summary(result, console);
        }
        return ExitCodes.OK;
    }

    private Set<Point> select(Klein klein) {
        if (points != null) {
            try {
                return klein.points().select(points);
            } catch (IllegalArgumentException e) {
                throw new UserInputException("--points: " + e.getMessage());
            }
        }
        Set<Point> selected = new java.util.LinkedHashSet<>(klein.points().points());
        selected.removeIf(point -> point.role() != Point.Role.BLOCK && point.role() != Point.Role.BRANCH);
        return selected;
    }

    private int original(NormsRun run, InterveneOptions.Opened changes, Console console) throws IOException {
        if (points != null) {
            throw new UserInputException("--points: the original protocol measures its own 25 layers; leave the option out");
        }
        if (seeds != null && seeds.size() != 1) {
            throw new UserInputException("--seeds: the original protocol seeds one generator once; give one seed");
        }
        long seed = seeds == null ? 1 : seeds.getFirst();
        NoiseOptions.Pair pair = drawing.noise().pair(run.klein(), seed, drawing.fallbackSize());
        Map<String, Object> parameters = parameters(run, changes, new TreeMap<>(Map.of(seed, pair.safe())));
        parameters.put("created", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
        OriginalNorms result;
        try (Progress progress = console.progress("norms", run.progressSteps(1))) {
            result = OriginalProtocol.run(run, pair.safe(), pair.extreme(), parameters, progress::step);
        }
        NormsCsv.write(out.resolve("norms.csv"), result);
        RunJson.write(out.resolve("run.json"), result);
        NormsReport.write(out.resolve("report.html"), result);
        if (output.json()) {
            console.result(RunJson.json(result));
        } else {
            summary(result, console);
        }
        return result.spikes().isEmpty() ? ExitCodes.OK : ExitCodes.FINDING;
    }

    /** Everything needed to repeat the run, but for prompts and points. */
    private Map<String, Object> parameters(NormsRun run, InterveneOptions.Opened changes, SortedMap<Long, HostTensor> noises) {
        Klein klein = run.klein();
        klein.identify(ComponentKind.TEXT_ENCODER);
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("kleinscope", Version.summary());
        parameters.put("protocol", protocol.toString());
        parameters.put("safe", safe);
        parameters.put("extreme", extreme);
        drawing.record(parameters, klein, run.denoising());
        HostTensor first = noises.firstEntry().getValue();
        drawing.noise().record(parameters, List.copyOf(noises.keySet()), first);
        changes.record(parameters);
        if (intervened != null) {
            parameters.put("intervene_in", intervened.toString());
        }
        parameters.put("sigmas", Schedule.of(first.shape().dim(2) * first.shape().dim(3), run.denoising().steps()).sigmas());
        return parameters;
    }

    private void summary(PairedNorms result, Console console) {
        console.result(result.finding());
        console.result("");
        console.result("Largest change, extreme against safe, of each measure and stream (mean over seeds; steps count from 0):");
        for (String stream : List.of("image", "prompt", "template", "padding")) {
            for (Measure measure : Measure.values()) {
                result.contrasts().stream()
                        .filter(c -> c.stream().equals(stream) && c.measure() == measure && result.blocks().contains(c.point()))
                        .max(Comparator.comparingDouble(c -> Math.abs(c.d())))
                        .ifPresent(c -> console.result(line(stream, c)));
            }
        }
        console.result("");
        result.limits().forEach(limit -> console.result("Note: " + limit));
        written(console);
    }

    private static String line(String stream, Contrast contrast) {
        String change = contrast.measure().comparedByRatio() ? String.format(Locale.ROOT, "%+.2f%%", 100 * Math.expm1(contrast.d()))
                : String.format(Locale.ROOT, "%+.5f", contrast.d());
        return String.format(Locale.ROOT, "  %-9s %-6s %10s  at %s, step %d", stream, contrast.measure().symbol(), change, contrast.point(),
                contrast.step());
    }

    private void summary(OriginalNorms result, Console console) {
        console.result(String.format(Locale.ROOT, "%-24s %14s %14s %8s", "layer", "safe_avg", "extreme_avg", "ratio"));
        result.layers().forEach(layer -> console.result(String.format(Locale.ROOT, "%-24s %14.4f %14.4f %8.4f", layer.layer(),
                layer.safeAvg(), layer.extremeAvg(), layer.ratio())));
        console.result("");
        console.result(result.finding());
        console.result("What is wrong with this method:");
        result.defects().forEach(defect -> console.result("  - " + defect));
        written(console);
    }

    private void written(Console console) {
        console.note("written: " + out.resolve("norms.csv") + ", run.json, report.html");
    }
}
