package dev.kleinscope.cli;

import dev.kleinscope.analysis.PatchMetric;
import dev.kleinscope.analysis.PatchProtocol;
import dev.kleinscope.analysis.Patching;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.ClipScorer;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.intervene.DumpFile;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.TokenStream;
import dev.kleinscope.report.PatchCsv;
import dev.kleinscope.report.PatchReport;
import dev.kleinscope.report.RunJson;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.Fingerprint;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SortedMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope patch}: which places of one run carry what tells it from another. */
@Command(
        name = "patch",
        description = "Run a prompt again and again, each time with one activation replaced by another prompt's, and measure how far the outcome "
                + "moves (activation patching).",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope patch --from \"a red cube\" --to \"a blue cube\"",
            "      every block's image and text stream on the bundled miniature",
            "  kleinscope patch -m MODEL --from A --to B --points 'transformer_blocks.*.ff*,single_blocks.*.attn' --per-step",
            "      what MLPs and single blocks add, step by step",
            "  kleinscope patch -m MODEL --from A --to B --null B2 --metric distance,clip --clip CLIP --seeds 1,2,3",
            "      beside B2, a paraphrase of B, for comparison; run again after an interruption, it goes on where it stopped",
        })
final class PatchCommand implements Callable<Integer> {

    @Mixin
    private DrawingOptions drawing;

    @Mixin
    private OutputOptions output;

    @Option(names = "--from", paramLabel = "PROMPT", description = "The prompt whose activations are taken.")
    private String from;

    @Option(names = "--from-dump", paramLabel = "FILE", description = "Take them from a dump instead: of a run from the same noise, with "
            + "the points to patch and proj_out at every step.")
    private Path fromDump;

    @Option(names = "--to", paramLabel = "PROMPT", required = true, description = "The prompt that is run with them.")
    private String to;

    @Option(names = "--null", paramLabel = "PROMPT", description = "Another prompt to take activations from, for comparison: a paraphrase of "
            + "--to shows what any other wording does. Doubles the runs.")
    private String nullPrompt;

    @Option(names = "--points", paramLabel = "GLOB", split = ",",
            description = "Probe points to patch, one at a time, by name, alias or glob. Default: all block outputs.")
    private List<String> points;

    @Option(names = "--streams", paramLabel = "STREAM", split = ",", defaultValue = "image,text",
            description = "Streams to patch, one at a time: image, text, prompt, template, padding, all. Default: ${DEFAULT-VALUE}.")
    private List<String> streams;

    @Option(names = "--per-step", description = "Patch steps one at a time as well. Default: all steps at once.")
    private boolean perStep;

    @Option(names = "--metric", paramLabel = "NAME", split = ",", defaultValue = "distance",
            description = "How far the outcome moved, 0 where it stays and 1 where it is the first prompt's: distance, projection, cosine or "
                    + "norm of the final latents, image, clip; moved counts any direction. Default: ${DEFAULT-VALUE}.")
    private List<String> metrics;

    @Option(names = "--clip", paramLabel = "MODEL", description = "A CLIP model folder for the metric clip. Default: the bundled miniature's "
            + "with the bundled model.")
    private String clip;

    @Option(names = "--seeds", paramLabel = "SEED", split = ",", description = "Seeds of the initial noise. Default: 1.")
    private List<Long> seeds;

    @Option(names = {"-o", "--out"}, paramLabel = "DIR", defaultValue = "kleinscope-patch",
            description = "Folder for patch.csv, run.json and report.html. Default: ${DEFAULT-VALUE}.")
    private Path out;

    @Override
    public Integer call() throws IOException {
        List<PatchMetric> wanted = checkOptions();
        List<TokenStream> patched = streams.stream().map(TokenStream::of).distinct().toList();
        Console console = output.console();
        Files.createDirectories(out);
        try (Safetensors dump = fromDump == null ? null : Safetensors.open(fromDump); Ops ops = drawing.open(false);
                Klein klein = new Klein(drawing.model().files(), ops); ClipScorer scorer = scorer(ops, wanted)) {
            console.note("backend " + drawing.backend().describe(ops) + "; model " + drawing.model().name());
            Denoising denoising = drawing.denoising(klein, console, null);
            if (dump != null) {
                checkDump(dump, denoising);
            }
            PatchProtocol protocol = new PatchProtocol(klein, from, dump == null ? null : new DumpFile(dump, fromDump.toString()), to, nullPrompt,
                    denoising, drawing.maxTokens(), select(klein), patched, perStep, wanted, scorer, PatchProtocol.DEFAULT_BUDGET_BYTES);
            SortedMap<Long, HostTensor> noises = drawing.noise().bySeed(klein, seeds == null ? List.of(1L) : seeds, drawing.fallbackSize());
            Map<String, Object> parameters = parameters(protocol, dump, noises);
            PatchFolder folder = new PatchFolder(out, parameters);
            if (folder.resumed() > 0) {
                console.note("going on: " + folder.resumed() + " runs of the interrupted command are kept");
            }
            parameters.put("created", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
            Patching result;
            try (Progress progress = console.progress("patch", protocol.progressSteps(noises.size()))) {
                result = protocol.run(noises, folder, parameters, progress::step);
            }
            PatchCsv.write(out.resolve("patch.csv"), result);
            RunJson.write(out.resolve("run.json"), result);
            PatchReport.write(out.resolve("report.html"), result);
            folder.done();
            if (output.json()) {
                console.result(RunJson.json(result));
            } else {
                summary(result, console);
            }
            boolean known = result.effects().stream().anyMatch(effect -> !Double.isNaN(effect.effect()));
            return known ? ExitCodes.OK : ExitCodes.INCONCLUSIVE;
        }
    }

    private List<PatchMetric> checkOptions() {
        if ((from == null) == (fromDump == null)) {
            throw new UserInputException("give --from or --from-dump, one of them");
        }
        if (from != null) {
            PromptChecks.present("--from", from);
        }
        PromptChecks.present("--to", to);
        if (nullPrompt != null) {
            PromptChecks.present("--null", nullPrompt);
        }
        drawing.check();
        if (Files.exists(out) && !Files.isDirectory(out)) {
            throw new UserInputException("--out " + out + " is a file; name a folder");
        }
        if (fromDump != null && seeds != null && seeds.size() != 1) {
            throw new UserInputException("--seeds: a dump is of one run; give its seed alone");
        }
        try {
            List<PatchMetric> wanted = metrics.stream().map(PatchMetric::of).distinct().toList();
            streams.forEach(TokenStream::of);
            if (wanted.contains(PatchMetric.CLIP) && from == null) {
                throw new UserInputException("--metric clip scores pictures against the prompt that activations come from: give --from");
            }
            return wanted;
        } catch (IllegalArgumentException e) {
            throw new UserInputException(e.getMessage());
        }
    }

    /** What a dump tells of its run must be what is run here. */
    private void checkDump(Safetensors dump, Denoising denoising) {
        long seed = seeds == null ? 1 : seeds.getFirst();
        differing(dump, "seed", String.valueOf(seed), "--seeds");
        differing(dump, "steps", String.valueOf(denoising.steps()), "--steps");
        differing(dump, "max_tokens", String.valueOf(drawing.maxTokens()), "--max-tokens");
    }

    private void differing(Safetensors dump, String key, String here, String option) {
        String there = dump.metadata().get(key);
        if (there != null && !there.equals(here)) {
            throw new UserInputException(fromDump + " is of a run with " + key + " " + (there.length() > 40 ? there.substring(0, 40) + "..." : there)
                    + ", this one has " + here + "; give the dump's with " + option);
        }
    }

    private ClipScorer scorer(Ops ops, List<PatchMetric> wanted) {
        if (!wanted.contains(PatchMetric.CLIP)) {
            return null;
        }
        Path bundled = drawing.model().given() ? null : ModelOptions.bundledClip();
        if (clip == null && bundled == null) {
            throw new UserInputException("--metric clip needs --clip, a CLIP model folder");
        }
        return ClipScorer.open(ModelFiles.resolve(clip != null ? clip : bundled.toString()), ops);
    }

    private Set<Point> select(Klein klein) {
        if (points == null) {
            Set<Point> blocks = new LinkedHashSet<>(klein.points().points());
            blocks.removeIf(point -> point.role() != Point.Role.BLOCK);
            return blocks;
        }
        try {
            return klein.points().select(points);
        } catch (IllegalArgumentException e) {
            throw new UserInputException("--points: " + e.getMessage());
        }
    }

    private Map<String, Object> parameters(PatchProtocol protocol, Safetensors dump, SortedMap<Long, HostTensor> noises) {
        Klein klein = protocol.klein();
        klein.identify(ComponentKind.TEXT_ENCODER);
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("kleinscope", Version.summary());
        parameters.put("from", from);
        if (dump != null) {
            parameters.put("from_dump", fromDump.toAbsolutePath().normalize().toString());
            parameters.put("from_dump_fingerprint", Fingerprint.of(dump));
        }
        parameters.put("to", to);
        parameters.put("null", nullPrompt);
        parameters.put("points", points == null ? "block outputs" : points);
        parameters.put("streams", streams);
        parameters.put("per_step", perStep);
        parameters.put("metrics", protocol.metrics().stream().map(PatchMetric::label).toList());
        drawing.record(parameters, klein, protocol.denoising());
        parameters.put("clip", protocol.clip() == null ? "none" : protocol.clip().identity());
        drawing.noise().record(parameters, List.copyOf(noises.keySet()), noises.firstEntry().getValue());
        return parameters;
    }

    private void summary(Patching result, Console console) {
        boolean compared = result.nullPrompt() != null;
        StringBuilder head = new StringBuilder(String.format(Locale.ROOT, "%-36s %-8s %4s", "point", "stream", perStep ? "step" : ""));
        result.metrics().forEach(metric -> head.append(String.format(Locale.ROOT, " %10s%s", metric.label(), compared ? "       null" : "")));
        console.result(head.toString());
        List<Patching.Effect> first = result.effects().stream().filter(effect -> effect.metric() == result.metrics().getFirst()).toList();
        for (Patching.Effect place : first) {
            StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "%-36s %-8s %4s", place.point(), place.stream(),
                    place.step() == null ? "" : place.step()));
            result.effects().stream().filter(effect -> effect.point().equals(place.point()) && effect.stream().equals(place.stream())
                    && Objects.equals(effect.step(), place.step())).forEach(effect -> line.append(cell(effect.effect()))
                            .append(compared ? cell(effect.nullEffect() == null ? Double.NaN : effect.nullEffect()) : ""));
            console.result(line.toString());
        }
        console.result("");
        console.result(result.finding());
        result.limits().forEach(limit -> console.result("Note: " + limit));
        console.note("written: " + out.resolve("patch.csv") + ", run.json, report.html");
    }

    private static String cell(double value) {
        return Double.isNaN(value) ? String.format(Locale.ROOT, " %10s", "-") : String.format(Locale.ROOT, " %10.4f", value);
    }
}
