package dev.kleinscope.cli;

import dev.kleinscope.Backend;
import dev.kleinscope.analysis.ActivationDiff;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.dump.ActivationFile;
import dev.kleinscope.report.DiffReport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code kleinscope diff}: where two runs part. */
@Command(
        name = "diff",
        description = "Compare two runs' activations and find the first that differs: two dumps, a dump and a reference case, two "
                + "backends, or two prompts.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope diff before.safetensors after.safetensors",
            "      two dumps; distances are relative to the first's norms",
            "  kleinscope diff reference/dit-step-0.safetensors dump.safetensors --html diff.html",
            "      a case of tools/reference/dump_reference.py and a dump of the same prompt and seed",
            "  kleinscope diff -m MODEL -p \"a red cube\" --backends reference,cpu",
            "      the same run on two backends",
            "  kleinscope diff -m MODEL -p \"a red cube\" -p \"a blue cube\" --at-steps 0",
            "      two prompts from the same noise",
        })
final class DiffCommand implements Callable<Integer> {

    /** Largest distances of runs in f32, and of others. */
    private static final double F32_TOLERANCE = 1e-4;
    private static final double BF16_TOLERANCE = 2.5e-2;
    private static final int MOST_LINES = 40;

    @Mixin
    private DrawingOptions drawing;

    @Mixin
    private OutputOptions output;

    @Parameters(paramLabel = "FILE", arity = "0..2", description = "Two dumps or reference cases (safetensors).")
    private List<Path> files = new ArrayList<>();

    @Option(names = {"-p", "--prompt"}, paramLabel = "PROMPT", description = "Instead of files: a prompt to run, or two.")
    private List<String> prompts = new ArrayList<>();

    @Option(names = "--backends", paramLabel = "B", split = ",", description = "Two backends to run one prompt on: cpu, cuda, reference.")
    private List<Backend> backends = new ArrayList<>();

    @Option(names = "--seed", paramLabel = "SEED", defaultValue = "1", description = "Seed of the initial noise. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--points", paramLabel = "GLOB", split = ",",
            description = "Probe points of a run, as for dump. Default: every block's output, and latents.")
    private List<String> points;

    @Option(names = "--at-steps", paramLabel = "LIST", converter = StepList.Converter.class, description = "Steps of a run, as for dump. Default: all.")
    private StepList atSteps;

    @Option(names = "--rtol", paramLabel = "X",
            description = "Largest relative L2 distance that is no difference. Default: 1e-4, or 2.5e-2 where one side is bf16.")
    private Double rtol;

    @Option(names = "--html", paramLabel = "FILE", description = "Also write a report: one HTML file that needs nothing else.")
    private Path html;

    @Option(names = "--all", description = "Print every activation, however many there are.")
    private boolean all;

    @Override
    public Integer call() {
        checkOptions();
        if (html != null) {
            OutputFile.check("--html", html);
        }
        Console console = output.console();
        ActivationDiff diff;
        if (files.isEmpty()) {
            diff = ofRuns(console);
        } else {
            diff = compare(files.get(0), files.get(1), files.stream().map(Path::toString).toList(), console);
        }
        if (html != null) {
            DiffReport.write(html, diff);
        }
        if (output.json()) {
            console.result(Printable.json(DiffReport.tree(diff)));
        } else {
            print(diff, console);
        }
        if (html != null) {
            console.note("written: " + html);
        }
        return diff.rows().isEmpty() ? ExitCodes.INCONCLUSIVE : diff.first() == null ? ExitCodes.OK : ExitCodes.FINDING;
    }

    private ActivationDiff compare(Path first, Path second, List<String> labels, Console console) {
        try (ActivationFile a = ActivationFile.open(first); ActivationFile b = ActivationFile.open(second);
                Progress progress = console.progress("diff", ActivationDiff.common(a, b).size())) {
            double threshold = rtol != null ? rtol : a.rounded() || b.rounded() ? BF16_TOLERANCE : F32_TOLERANCE;
            return ActivationDiff.of(a, b, labels, threshold, progress::step);
        }
    }

    /** Runs twice, with the dumps in a folder that is gone afterwards. */
    private ActivationDiff ofRuns(Console console) {
        Path folder = null;
        try {
            folder = Files.createTempDirectory("kleinscope-diff-");
            Path a = folder.resolve("a.safetensors");
            Path b = folder.resolve("b.safetensors");
            if (backends.isEmpty()) {
                try (Ops ops = drawing.open(false)) {
                    run(prompts.getFirst(), a, ops, console);
                    run(prompts.getLast(), b, ops, console);
                }
            } else {
                BackendOptions given = drawing.backend();
                for (int i = 0; i < 2; i++) {
                    drawing.on(given.on(backends.get(i)));
                    try (Ops ops = drawing.open(false)) {
                        run(prompts.getFirst(), i == 0 ? a : b, ops, console);
                    }
                }
            }
            return compare(a, b, backends.isEmpty() ? prompts : backends.stream().map(each -> "on " + each).toList(), console);
        } catch (IOException e) {
            throw new UncheckedIOException("no folder for the two runs could be made in " + System.getProperty("java.io.tmpdir") + ": "
                    + e.getMessage(), e);
        } finally {
            delete(folder);
        }
    }

    private void run(String prompt, Path file, Ops ops, Console console) {
        new DumpRun(drawing, prompt, List.of(), seed, points, atSteps, null, InterveneOptions.Opened.NONE).run(ops, file, console);
    }

    private static void delete(Path folder) {
        if (folder == null) {
            return;
        }
        try (var entries = Files.list(folder)) {
            for (Path entry : entries.toList()) {
                Files.deleteIfExists(entry);
            }
            Files.deleteIfExists(folder);
        } catch (IOException _) {
            // the system clears its temporary folder
        }
    }

    private void print(ActivationDiff diff, Console console) {
        console.result("A " + Printable.text(diff.a()));
        console.result("B " + Printable.text(diff.b()));
        diff.made().forEach((name, values) -> {
            if (values.get(0) != null && values.get(1) != null) {
                console.result("  " + Printable.text(name) + ": " + Printable.text(values.get(0)) + " | " + Printable.text(values.get(1)));
            }
        });
        lacking("A", diff.onlyA(), console);
        lacking("B", diff.onlyB(), console);
        console.result("threshold, relative L2: " + diff.threshold() + (rtol != null ? " (--rtol)" : ""));
        List<ActivationDiff.Row> shown = all || diff.rows().size() <= MOST_LINES ? diff.rows()
                : diff.rows().stream().filter(row -> !row.within()).limit(MOST_LINES).toList();
        if (!shown.isEmpty()) {
            console.result(String.format(Locale.ROOT, "  %-52s %11s %11s %12s %12s %9s  %s", "", "relative L2", "max abs", "norm A", "norm B",
                    "cosine", "farthest at"));
            shown.forEach(row -> console.result(line(row)));
        }
        if (shown.size() < diff.rows().size()) {
            console.result("  " + (diff.rows().size() - shown.size()) + " more; --all prints them");
            console.result("the farthest:");
            console.result(line(diff.worst()));
        }
        console.result(diff.finding());
    }

    private static void lacking(String which, List<String> names, Console console) {
        if (!names.isEmpty()) {
            console.result("only in " + which + ": " + names.size() + ", the first " + names.getFirst());
        }
    }

    private static String line(ActivationDiff.Row row) {
        String mark = row.within() ? "  " : "* ";
        ActivationDiff.Numbers numbers = row.numbers();
        if (numbers == null) {
            return String.format(Locale.ROOT, "%s%-52s %s", mark, row.name(), row.problem());
        }
        String strange = numbers.notFiniteA() + numbers.notFiniteB() == 0 ? ""
                : ", not finite: " + numbers.notFiniteA() + " | " + numbers.notFiniteB();
        return String.format(Locale.ROOT, "%s%-52s %11.3e %11.3e %12.6g %12.6g %9.6f  %s (%.7g | %.7g)%s", mark, row.name(),
                numbers.relativeL2(), numbers.maxAbs(), numbers.normA(), numbers.normB(), numbers.cosine(), numbers.worstIndex(),
                numbers.worstA(), numbers.worstB(), strange);
    }

    private void checkOptions() {
        if (rtol != null && !(rtol >= 0 && rtol <= 10)) {
            throw new UserInputException("--rtol " + rtol + ": expected a number from 0 to 10");
        }
        if (!files.isEmpty()) {
            if (files.size() != 2 || !prompts.isEmpty() || !backends.isEmpty()) {
                throw new UserInputException("diff compares two files, or runs: give two dumps or cases and neither prompts nor backends");
            }
            return;
        }
        int runs = backends.isEmpty() ? prompts.size() : prompts.size() == 1 ? backends.size() : 0;
        if (runs != 2) {
            throw new UserInputException("diff needs two of something: two files, one --prompt and two --backends, or two times --prompt");
        }
        if (backends.contains(Backend.AUTO)) {
            throw new UserInputException("--backends: name two of cpu, cuda and reference");
        }
        prompts.forEach(prompt -> PromptChecks.present("--prompt", prompt));
        drawing.check();
    }
}
