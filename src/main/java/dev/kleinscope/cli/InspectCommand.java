package dev.kleinscope.cli;

import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.Text;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code kleinscope inspect}: what a model consists of, and where it can be watched. */
@Command(
        name = "inspect",
        description = "Show a model's configuration, its tensors, and the probe points where it can be watched.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope inspect",
            "      a summary of the bundled miniature",
            "  kleinscope inspect black-forest-labs/FLUX.2-klein-4B --points",
            "      every name that --points of other commands takes",
            "  kleinscope inspect transformer/ --stats",
            "      mean, deviation, extremes and norm of every tensor, and what is not finite",
            "  kleinscope inspect flux-2-klein-4b.safetensors --json",
        })
final class InspectCommand implements Callable<Integer> {

    private static final int SUMMARY_LINES = 4;

    @Mixin
    private OutputOptions output;

    @Parameters(arity = "0..1", paramLabel = "MODEL",
            description = "A model folder, a component's folder, a .safetensors file, or a name in Hugging Face's cache. Default: the "
                    + "bundled miniature.")
    private String model;

    @Option(names = "--tensors", description = "List every tensor.")
    private boolean tensors;

    @Option(names = "--stats", description = "List every tensor with statistics of its values; reads all weights.")
    private boolean stats;

    @Option(names = "--points", description = "List every probe point, with its shape and its other names.")
    private boolean points;

    @Override
    public Integer call() {
        Console console = output.console();
        ModelFiles files = ModelFiles.resolve(model != null ? model : ModelOptions.bundled().toString());
        Inspection inspection = Inspection.of(files, stats ? steps -> console.progress("inspect", steps) : null);
        if (output.json()) {
            console.result(Printable.json(inspection));
            return ExitCodes.OK;
        }
        boolean summary = !tensors && !stats && !points;
        heading(console, inspection);
        for (Inspection.Component component : inspection.components()) {
            console.result("");
            totals(console, component);
            if (summary) {
                configuration(console, component);
            }
            if (summary || tensors || stats) {
                tensors(console, component, summary ? SUMMARY_LINES : Integer.MAX_VALUE);
            }
            if (summary || points) {
                points(console, component, summary ? SUMMARY_LINES : Integer.MAX_VALUE);
            }
        }
        return ExitCodes.OK;
    }

    private static void heading(Console console, Inspection inspection) {
        String distilled = inspection.distilled() == null ? ""
                : inspection.distilled() ? ": distilled, 4 steps without guidance" : ": not distilled, 50 steps with guidance";
        console.result(Printable.text(inspection.model()) + distilled);
    }

    private static void totals(Console console, Inspection.Component component) {
        if (component.tensors().isEmpty()) {
            console.result(component.component());
            return;
        }
        String types = component.dtypes().size() == 1 ? component.dtypes().keySet().iterator().next()
                : component.dtypes().entrySet().stream().map(type -> String.format(Locale.ROOT, "%s %,d in %d, %s", type.getKey(),
                        type.getValue().parameters(), type.getValue().tensors(), Text.bytes(type.getValue().bytes())))
                        .collect(Collectors.joining("; "));
        console.result(String.format(Locale.ROOT, "%s: %,d parameters in %d tensors, %s; %s", component.component(),
                component.parameters(), component.tensors().size(), Text.bytes(component.bytes()), types));
    }

    private static void configuration(Console console, Inspection.Component component) {
        StringBuilder line = new StringBuilder();
        component.sizes().forEach((key, value) -> {
            String entry = Printable.text(key + " " + value);
            if (!line.isEmpty() && 2 + line.length() + 2 + entry.length() > console.columns()) {
                console.result("  " + line + ",");
                line.setLength(0);
            }
            line.append(line.isEmpty() ? "" : ", ").append(entry);
        });
        if (!line.isEmpty()) {
            console.result("  " + line);
        }
    }

    private void tensors(Console console, Inspection.Component component, int most) {
        if (component.tensors().isEmpty()) {
            return;
        }
        List<List<String>> rows = new ArrayList<>();
        rows.add(stats ? List.of("tensor", "type", "shape", "bytes", "mean", "std", "min", "max", "norm", "nan", "inf")
                : List.of("tensor", "type", "shape", "bytes"));
        component.tensors().stream().limit(most).forEach(row -> rows.add(cells(row)));
        table(console, rows);
        more(console, component.tensors().size() - most, "tensors: --tensors lists all, --stats with their statistics");
    }

    private List<String> cells(Inspection.Row row) {
        List<String> cells = new ArrayList<>(List.of(Printable.text(row.name()), row.dtype(), row.shape().toString(),
                String.valueOf(row.bytes())));
        TensorStats values = row.stats();
        if (stats && values == null) {
            cells.add("not readable as numbers");
        } else if (stats) {
            for (Double value : new Double[] {values.mean(), values.std(), values.min(), values.max(), values.norm()}) {
                cells.add(value == null ? "-" : String.format(Locale.ROOT, "%.5g", value));
            }
            cells.add(String.valueOf(values.nan()));
            cells.add(String.valueOf(values.infinite()));
        }
        return cells;
    }

    private static void points(Console console, Inspection.Component component, int most) {
        if (component.points().isEmpty()) {
            return;
        }
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("probe point", "role", "shape", "also called"));
        component.points().stream().limit(most).forEach(point -> rows.add(
                List.of(point.name(), point.role(), point.shape(), String.join(", ", point.aliases()))));
        table(console, rows);
        more(console, component.points().size() - most, "probe points: --points lists all");
    }

    private static void more(Console console, int left, String what) {
        if (left > 0) {
            console.result("  ... and " + left + " more " + what);
        }
    }

    private static void table(Console console, List<List<String>> rows) {
        int[] widths = new int[rows.getFirst().size()];
        rows.forEach(row -> {
            for (int i = 0; i < Math.min(row.size(), widths.length); i++) {
                widths[i] = Math.max(widths[i], row.get(i).length());
            }
        });
        for (List<String> row : rows) {
            StringBuilder line = new StringBuilder("  ");
            for (int i = 0; i < row.size(); i++) {
                line.append(row.get(i)).append(i == row.size() - 1 ? "" : " ".repeat(widths[i] - row.get(i).length() + 2));
            }
            console.result(line.toString().stripTrailing());
        }
    }
}
