package dev.kleinscope.cli;

import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.InterpolationProtocol;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.ClipScorer;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.report.ContactSheet;
import dev.kleinscope.report.InterpolationCsv;
import dev.kleinscope.report.InterpolationReport;
import dev.kleinscope.report.RunJson;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope interpolate}: a sweep from one prompt to another. */
@Command(
        name = "interpolate",
        description = "Blend two prompts, draw an image for each blend, score each, and find the largest drop.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope interpolate -m MODEL --from \"a silk dress\" --to \"a linen suit\" --clip CLIP --out sweep",
            "      17 blends, three seeds; run again after an interruption, it goes on where it stopped",
            "  kleinscope interpolate -m MODEL --from A --to B --alphas 0,0.5,1 --no-images --out sweep",
            "      scores only: no pixel touches the disk",
            "  kleinscope interpolate -m MODEL --from A --to B --protocol original --clip CLIP --out sweep",
            "      the original study's second script, with its defects named",
        })
final class InterpolateCommand implements Callable<Integer> {

    private static final int ORIGINAL_STEPS = 20;

    @Mixin
    private DrawingOptions drawing;

    @Mixin
    private InterveneOptions intervene;

    @Mixin
    private OutputOptions output;

    @Option(names = "--from", paramLabel = "PROMPT", required = true, description = "The prompt at alpha 0.")
    private String from;

    @Option(names = "--to", paramLabel = "PROMPT", required = true, description = "The prompt at alpha 1.")
    private String to;

    @Option(names = "--alphas", paramLabel = "N|LIST", converter = Alphas.Converter.class,
            description = "How many blends, or their weights. Default: 17, or 10 for the original protocol.")
    private Alphas alphas;

    @Option(names = "--protocol", paramLabel = "P", defaultValue = "paired",
            description = "paired (the default): several seeds, every score. original: the original study's script, with its defects named.")
    private NormsCommand.Protocol protocol;

    @Option(names = "--clip", paramLabel = "MODEL",
            description = "A CLIP model folder, to score images against the prompts. Default: none; the bundled miniature's own with the "
                    + "bundled model.")
    private String clip;

    @Option(names = "--seeds", paramLabel = "SEED", split = ",",
            description = "Seeds of the initial noise. Default: 1,2,3; the original protocol takes one, 1.")
    private List<Long> seeds;

    @Option(names = "--no-images", description = "Keep scores only: no pixel touches the disk.")
    private boolean noImages;

    @Option(names = {"-o", "--out"}, paramLabel = "DIR", required = true,
            description = "Folder for interpolation.csv, run.json, report.html, the images and contact-sheet.png.")
    private Path out;

    @Override
    public Integer call() throws IOException {
        checkOptions();
        Console console = output.console();
        boolean original = protocol == NormsCommand.Protocol.ORIGINAL;
        try (InterveneOptions.Opened changes = intervene.open(); Ops ops = drawing.open(original); Klein klein = new Klein(drawing.model().files(), ops); ClipScorer scorer = scorer(ops)) {
            console.note("backend " + drawing.backend().describe(ops) + "; model " + drawing.model().name());
            Denoising denoising = drawing.denoising(klein, console, original ? ORIGINAL_STEPS : null);
            List<Double> weights = (alphas != null ? alphas : Alphas.even(original ? 10 : 17)).values();
            InterpolationProtocol sweep = new InterpolationProtocol(klein, from, to, denoising, drawing.maxTokens(), weights, scorer, original,
                    changes.list());
            SortedMap<Long, HostTensor> noises = drawing.noise().bySeed(klein, seeds(original), drawing.fallbackSize());
            Map<String, Object> parameters = parameters(sweep, noises, scorer);
            changes.record(parameters);
            Files.createDirectories(out);
            SweepFolder folder = new SweepFolder(out, parameters, !noImages, Map.of("Software", Version.summary()));
            if (folder.resumed() > 0) {
                console.note("going on: " + folder.resumed() + " images of the interrupted sweep are kept");
            }
            parameters.put("created", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
            Interpolation result;
            try (Progress progress = console.progress("interpolate", sweep.progressSteps(noises.size()))) {
                result = sweep.run(noises, folder, parameters, progress::step);
            }
            write(result, console);
            folder.done();
            if (output.json()) {
                console.result(RunJson.json(result));
            } else {
                summary(result, console);
            }
            drawing.backend().noteReads(console);
            return Boolean.TRUE.equals(result.cliff()) ? ExitCodes.FINDING : ExitCodes.OK;
        }
    }

    private void checkOptions() {
        PromptChecks.present("--from", from);
        PromptChecks.present("--to", to);
        drawing.check();
        if (Files.exists(out) && !Files.isDirectory(out)) {
            throw new UserInputException("--out " + out + " is a file; name a folder");
        }
    }

    private List<Long> seeds(boolean original) {
        if (original && seeds != null && seeds.size() != 1) {
            throw new UserInputException("--seeds: the original protocol draws every alpha from one noise; give one seed");
        }
        return seeds != null ? seeds : original ? List.of(1L) : List.of(1L, 2L, 3L);
    }

    /** Opened before the first image is drawn, so that a wrong folder is known at once. */
    private ClipScorer scorer(Ops ops) {
        if (clip != null) {
            return ClipScorer.open(ModelFiles.resolve(clip), ops);
        }
        Path bundled = drawing.model().given() ? null : ModelOptions.bundledClip();
        return bundled == null ? null : ClipScorer.open(ModelFiles.resolve(bundled.toString()), ops);
    }

    /** What makes the samples of two runs comparable. */
    private Map<String, Object> parameters(InterpolationProtocol sweep, SortedMap<Long, HostTensor> noises, ClipScorer scorer) {
        Klein klein = sweep.klein();
        klein.identify(ComponentKind.TEXT_ENCODER);
        klein.identify(ComponentKind.VAE);
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("kleinscope", Version.summary());
        parameters.put("protocol", protocol.toString());
        parameters.put("from", from);
        parameters.put("to", to);
        parameters.put("alphas", sweep.alphas());
        drawing.record(parameters, klein, sweep.denoising());
        parameters.put("clip", scorer == null ? "none" : scorer.identity());
        parameters.put("images", !noImages);
        drawing.noise().record(parameters, List.copyOf(noises.keySet()), noises.firstEntry().getValue());
        return parameters;
    }

    private void write(Interpolation result, Console console) {
        InterpolationCsv.write(out.resolve("interpolation.csv"), result);
        RunJson.write(out.resolve("run.json"), result);
        SweepPictures pictures = new SweepPictures(out);
        if (!noImages && ContactSheet.write(out.resolve("contact-sheet.png"), result, pictures::image)
                == ContactSheet.Outcome.WRITTEN_WITHOUT_FONT) {
            console.note("this machine has no fonts: the contact sheet is labelled in plain capitals");
        }
        InterpolationReport.write(out.resolve("report.html"), result, pictures::thumbnail);
    }

    private void summary(Interpolation result, Console console) {
        boolean original = result.protocol().equals("original");
        console.result(String.format(Locale.ROOT, "%8s %8s %12s %10s %10s", "alpha", "seed", "structural", original ? "" : "clip from",
                original ? "clip logit" : "clip to"));
        result.samples().forEach(sample -> console.result(String.format(Locale.ROOT, "%8.4f %8d %12.2f %10s %10s", sample.alpha(), sample.seed(),
                sample.structural(), original ? "" : cell(sample.clipFrom()), cell(original ? sample.clipLogit() : sample.clipTo()))));
        console.result("");
        console.result(result.finding());
        result.limits().forEach(limit -> console.result("Note: " + limit));
        console.note("written: " + out.resolve("interpolation.csv") + ", run.json, report.html"
                + (noImages ? "" : ", contact-sheet.png, " + result.samples().size() + " images"));
    }

    private static String cell(Double value) {
        return value == null ? "" : String.format(Locale.ROOT, "%.3f", value);
    }
}
