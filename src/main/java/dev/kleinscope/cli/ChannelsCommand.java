package dev.kleinscope.cli;

import dev.kleinscope.analysis.Channels;
import dev.kleinscope.analysis.ChannelsProtocol;
import dev.kleinscope.analysis.ChannelsSummary;
import dev.kleinscope.analysis.Massive;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Schedule;
import dev.kleinscope.probe.Point;
import dev.kleinscope.report.ChannelsCsv;
import dev.kleinscope.report.ChannelsReport;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ComponentKind;
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
import java.util.Set;
import java.util.SortedMap;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope channels}: what carries the norm. */
@Command(
        name = "channels",
        description = {
            "Find the channels and tokens that carry the residual stream's energy at every block, in how many prompts and steps they are "
                    + "the same, and the norm without them.",
            "Sums are taken where activations are computed, over the image's tokens, the prompt's, its template's and padding. A channel "
                    + "counts as massive if its root mean square over a stream's tokens is over --magnitude and at least --ratio times the "
                    + "median channel's."
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope channels",
            "      two harmless prompts on the bundled miniature, in seconds",
            "  kleinscope channels -m MODEL -p \"a red cube\" -p \"a portrait of an old man\" --seeds 1,2",
            "  kleinscope channels --points 'transformer_blocks.*.img' --steps 1 --top 8",
            "      some points only; inspect lists them all",
            "  kleinscope channels --magnitude 10 --ratio 100 --json",
            "      another idea of what is massive",
        })
final class ChannelsCommand implements Callable<Integer> {

    private static final List<String> DEFAULT_PROMPTS = List.of("A bucket of red paint spilled on a wooden floor",
            "A portrait of an old man by a window");
    private static final int MOST_PROMPTS = 1000;
    private static final int MOST_TOP = 64;
    private static final int TOLD_CHANNELS = 4;
    private static final int TOLD_TOKENS = 2;

    @Mixin
    private DrawingOptions drawing;

    @Mixin
    private OutputOptions output;

    @Option(names = {"-p", "--prompt"}, paramLabel = "PROMPT",
            description = "A prompt; may be given several times. Default: two harmless ones.")
    private List<String> prompts;

    @Option(names = "--seeds", paramLabel = "SEED", split = ",", defaultValue = "1",
            description = "Seeds of the initial noise, from each of which every prompt is run. Default: ${DEFAULT-VALUE}.")
    private List<Long> seeds;

    @Option(names = "--points", paramLabel = "GLOB", split = ",",
            description = "Probe points, by name, alias or glob. Default: all block outputs.")
    private List<String> points;

    @Option(names = "--top", paramLabel = "N", defaultValue = "4",
            description = "How many channels and tokens of each forward to keep. Default: ${DEFAULT-VALUE}.")
    private int top;

    @Option(names = "--magnitude", paramLabel = "X", defaultValue = "100",
            description = "Root mean square that a massive channel is over. Default: ${DEFAULT-VALUE}.")
    private double magnitude;

    @Option(names = "--ratio", paramLabel = "X", defaultValue = "1000",
            description = "The least of that over the median channel's. Default: ${DEFAULT-VALUE}.")
    private double ratio;

    @Option(names = {"-o", "--out"}, paramLabel = "DIR", defaultValue = "kleinscope-out",
            description = "Folder for channels.csv, channels.json and channels.html. Default: ${DEFAULT-VALUE}.")
    private Path out;

    @Override
    public Integer call() throws IOException {
        checkOptions();
        Console console = output.console();
        Files.createDirectories(out);
        try (Ops ops = drawing.open(false); Klein klein = new Klein(drawing.model().files(), ops)) {
            console.note("backend " + drawing.backend().describe(ops) + "; model " + drawing.model().name());
            ChannelsProtocol protocol = new ChannelsProtocol(klein, prompts, drawing.denoising(klein, console, null), drawing.maxTokens(), top,
                    new Massive(magnitude, ratio));
            Set<Point> selected = select(klein);
            SortedMap<Long, HostTensor> noises = drawing.noise().bySeed(klein, seeds, drawing.fallbackSize());
            Map<String, Object> parameters = parameters(protocol, noises);
            ChannelsFolder folder = new ChannelsFolder(out, parameters);
            if (folder.resumed() > 0) {
                console.note("going on: " + folder.resumed() + " runs of the interrupted command are kept");
            }
            parameters.put("created", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
            Channels result;
            try (Progress progress = console.progress("channels", protocol.progressSteps(noises.size()))) {
                result = protocol.run(noises, selected, folder, parameters, progress::step);
            }
            ChannelsCsv.write(out.resolve("channels.csv"), result);
            ChannelsReport.writeJson(out.resolve("channels.json"), result);
            ChannelsReport.writePage(out.resolve("channels.html"), result);
            folder.done();
            if (output.json()) {
                console.result(ChannelsReport.json(result));
            } else {
                summary(result, console);
            }
        }
        return ExitCodes.OK;
    }

    private void checkOptions() {
        prompts = prompts == null ? DEFAULT_PROMPTS : prompts;
        prompts.forEach(prompt -> PromptChecks.present("--prompt", prompt));
        if (prompts.size() > MOST_PROMPTS) {
            throw new UserInputException("--prompt: " + prompts.size() + " prompts; at most " + MOST_PROMPTS);
        }
        drawing.check();
        if (top < 1 || top > MOST_TOP) {
            throw new UserInputException("--top " + top + ": expected a whole number from 1 to " + MOST_TOP);
        }
        if (!(magnitude >= 0 && magnitude < Double.POSITIVE_INFINITY && ratio >= 1 && ratio < Double.POSITIVE_INFINITY)) {
            throw new UserInputException("--magnitude takes a number from 0, --ratio one from 1");
        }
        if (Files.exists(out) && !Files.isDirectory(out)) {
            throw new UserInputException("--out " + out + " is a file; name a folder");
        }
    }

    private Set<Point> select(Klein klein) {
        if (points != null) {
            try {
                return klein.points().select(points);
            } catch (IllegalArgumentException e) {
                throw new UserInputException("--points: " + e.getMessage());
            }
        }
        return klein.points().points().stream().filter(point -> point.role() == Point.Role.BLOCK)
                .collect(Collectors.toCollection(LinkedHashSet::new));
    }

    /** Everything needed to repeat the run. */
    private Map<String, Object> parameters(ChannelsProtocol protocol, SortedMap<Long, HostTensor> noises) {
        Klein klein = protocol.klein();
        klein.identify(ComponentKind.TEXT_ENCODER);
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("kleinscope", Version.summary());
        parameters.put("prompts", prompts);
        parameters.put("points", points == null ? "block outputs" : points);
        parameters.put("top", top);
        parameters.put("magnitude", magnitude);
        parameters.put("ratio", ratio);
        drawing.record(parameters, klein, protocol.denoising());
        HostTensor first = noises.firstEntry().getValue();
        drawing.noise().record(parameters, List.copyOf(noises.keySet()), first);
        parameters.put("sigmas", Schedule.of(first.shape().dim(2) * first.shape().dim(3), protocol.denoising().steps()).sigmas());
        return parameters;
    }

    private void summary(Channels result, Console console) {
        console.result(result.finding());
        console.result("");
        console.result(String.format(Locale.ROOT, "%-32s %-9s %10s %10s %7s %7s  %s", "point", "stream", "norm", "without", "share", "massive",
                "strongest channels and tokens (in how many forwards)"));
        result.summaries().forEach(each -> console.result(line(each)));
        console.result("");
        console.result("norm: geometric mean over forwards; without: without each forward's " + result.top()
                + " strongest channels, whose mean share of the energy is given; massive: most such channels in a forward.");
        result.limits().forEach(limit -> console.result("Note: " + limit));
        console.note("written: " + out.resolve("channels.csv") + ", channels.json, channels.html");
    }

    private static String line(ChannelsSummary each) {
        String channels = each.channels().stream().limit(TOLD_CHANNELS)
                .map(channel -> channel.index() + " (" + channel.forwards() + "/" + each.forwards() + ")").collect(Collectors.joining(" "));
        String tokens = each.tokens().stream().limit(TOLD_TOKENS).map(token -> token.index() + (token.text().isEmpty() ? "" : " "
                + quoted(token.text())) + " (" + token.forwards() + "/" + each.forwards() + ")").collect(Collectors.joining(" "));
        return String.format(Locale.ROOT, "%-32s %-9s %10.4g %10.4g %6.1f%% %7d  %s; %s", each.point(), each.stream(), each.norm(),
                each.normWithoutTop(), 100 * each.share(), each.massive(), channels, tokens);
    }

    /** A token's text on one line. */
    private static String quoted(String text) {
        return "\"" + Printable.text(text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")) + "\"";
    }
}
