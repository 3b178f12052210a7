package dev.kleinscope.cli;

import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.ClipScorer;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.validate.ClipCase;
import dev.kleinscope.pipeline.validate.DitCase;
import dev.kleinscope.pipeline.validate.PipelineCase;
import dev.kleinscope.pipeline.validate.ReferenceCase;
import dev.kleinscope.pipeline.validate.TensorCheck;
import dev.kleinscope.pipeline.validate.TextEncoderCase;
import dev.kleinscope.pipeline.validate.VaeCase;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.ModelFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope validate}: the model, block by block, against what a peer computed. */
@Command(
        name = "validate",
        description = "Compare every activation with reference cases, block by block.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope validate -m MODEL --case dit.safetensors --case text-encoder.safetensors",
            "  kleinscope validate -m transformer/ --case cases/dit-*.safetensors --backend reference",
            "  kleinscope validate -m MODEL --case dit.safetensors --json",
        })
final class ValidateCommand implements Callable<Integer> {

    /**
     * Largest relative L2 distance by kind, in f32 on the host backends. Sums in f32 over 27 layers of Qwen3-4B's width end 1e-6 (our own
     * products) to 2e-6 (oneDNN's) from float64, as any in f32 do: a case of that size needs a tolerance of its own.
     */
    private static final Map<String, Double> TOLERANCES = Map.of("dit", 5e-5, "text-encoder", 1e-6, "vae", 1e-4, "pipeline", 1e-4,
            "clip", 1e-5);

    /** On a GPU: in f32 by other sums, and in bf16. */
    private static final double CUDA_F32_TOLERANCE = 2e-3;
    private static final double CUDA_BF16_TOLERANCE = 2.5e-2;

    /** With products in bf16 on the CPU, of every kind. */
    private static final double CPU_BF16_TOLERANCE = 1.5e-2;

    @Mixin
    private ModelOptions model;

    @Mixin
    private BackendOptions backend;

    @Mixin
    private OutputOptions output;

    @Option(names = "--case", paramLabel = "FILE", required = true, arity = "1..*", description = "Reference cases (safetensors).")
    private List<Path> cases;

    @Option(names = "--rtol", paramLabel = "X", description = "Largest relative L2 distance, instead of the kind's own.")
    private Double rtol;

    /**
     * What came of a case.
     *
     * @param file the case
     * @param kind its kind, or null if it could not be read
     * @param tolerance in force
     * @param passed whether every tensor is within it
     * @param tensors compared
     * @param firstDiverging first in the order of computation, or null
     * @param worst farthest, or null
     * @param error why the case could not be run, or null
     * @param checks every tensor
     */
    record Outcome(String file, String kind, double tolerance, boolean passed, int tensors, String firstDiverging, String worst,
            String error, List<Row> checks) {
    }

    /**
     * One tensor, for JSON. Infinity stands for what cannot be compared.
     *
     * @param streams relative L2 distances of the text and the image tokens, where a tensor holds both; else null
     */
    record Row(String name, boolean passed, Double relativeL2, Double maxAbs, Integer worstIndex, String problem,
            Map<String, Double> streams) {
    }

    @Override
    public Integer call() {
        if (rtol != null && !(rtol > 0 && rtol <= 10)) {
            throw new UserInputException("--rtol " + rtol + ": expected a positive number of at most 10");
        }
        Console console = output.console();
        List<Outcome> outcomes = new ArrayList<>();
        ModelFiles files = model.files();
        try (Ops ops = backend.open(Precision.F32); Klein klein = new Klein(files, ops);
                Progress progress = console.progress("validate", cases.size())) {
            if (!output.json()) {
                console.result("backend " + backend.describe(ops));
                console.result("precision " + backend.precision() + "; tolerance, relative L2: "
                        + (rtol != null ? rtol + " (--rtol)" : tolerances()));
            }
            for (Path file : cases) {
                Outcome outcome = run(file, klein, files, ops);
                outcomes.add(outcome);
                progress.step(file.getFileName().toString());
                if (!output.json()) {
                    print(outcome, console);
                }
            }
        }
        return conclude(outcomes, console);
    }

    private Outcome run(Path file, Klein klein, ModelFiles files, Ops ops) {
        String kind = null;
        try (ReferenceCase reference = ReferenceCase.open(file)) {
            kind = reference.kind();
            List<TensorCheck> checks = switch (kind) {
                case "dit" -> DitCase.run(reference, klein.dit(), ops);
                case "text-encoder" -> TextEncoderCase.run(reference, klein.textEncoder(),
                        files.has(ComponentKind.TOKENIZER) ? klein.tokenizer() : null, ops);
                case "vae" -> VaeCase.run(reference, klein.vae(), ops);
                case "pipeline" -> PipelineCase.run(reference, klein);
                case "clip" -> clip(reference, files, ops);
                default -> throw new ModelException(file + " is of kind \"" + (kind.length() > 40 ? kind.substring(0, 40) + "..." : kind)
                        + "\"; this version validates " + TOLERANCES.keySet().stream().sorted().toList());
            };
            return outcome(file, kind, checks);
        } catch (ModelException e) {
            return new Outcome(file.toString(), kind, 0, false, 0, null, null, e.getMessage(), List.of());
        }
    }

    private static List<TensorCheck> clip(ReferenceCase reference, ModelFiles files, Ops ops) {
        try (ClipScorer scorer = new ClipScorer(files, ops)) {
            return ClipCase.run(reference, scorer.clip(), scorer.hasPixels() ? scorer.pixels() : null, ops);
        }
    }

    private Outcome outcome(Path file, String kind, List<TensorCheck> checks) {
        double tolerance = tolerance(kind);
        String first = checks.stream().filter(check -> !check.within(tolerance)).map(TensorCheck::toString).findFirst().orElse(null);
        String worst = checks.stream().max(Comparator.comparingDouble(ValidateCommand::distance)).map(TensorCheck::toString).orElse(null);
        List<Row> rows = checks.stream().map(check -> check.difference() == null
                ? new Row(check.name(), false, null, null, null, check.problem(), null)
                : new Row(check.name(), check.within(tolerance), check.difference().relativeL2(), check.difference().maxAbs(),
                        check.difference().worst(), null, streams(check))).toList();
        return new Outcome(file.toString(), kind, tolerance, first == null, checks.size(), first, worst, null, rows);
    }

    private static Map<String, Double> streams(TensorCheck check) {
        Map<String, Double> streams = new LinkedHashMap<>();
        check.streams().forEach((stream, difference) -> streams.put(stream, difference.relativeL2()));
        return streams.isEmpty() ? null : streams;
    }

    private double tolerance(String kind) {
        if (rtol != null) {
            return rtol;
        }
        boolean bf16 = backend.precision().equals(Precision.BF16.toString());
        return backend.name().equals("cuda") ? bf16 ? CUDA_BF16_TOLERANCE : CUDA_F32_TOLERANCE
                : bf16 ? CPU_BF16_TOLERANCE : TOLERANCES.get(kind);
    }

    private String tolerances() {
        return backend.name().equals("cuda") || backend.precision().equals(Precision.BF16.toString()) ? String.valueOf(tolerance("dit"))
                : "dit 5e-5, text-encoder 1e-6, vae 1e-4, pipeline 1e-4, clip 1e-5";
    }

    private static double distance(TensorCheck check) {
        return check.difference() == null ? Double.POSITIVE_INFINITY : check.difference().relativeL2();
    }

    private static void print(Outcome outcome, Console console) {
        if (outcome.error() != null) {
            console.result("ERROR " + outcome.error());
            return;
        }
        console.result((outcome.passed() ? "pass  " : "FAIL  ") + outcome.file() + " (" + outcome.kind() + ", " + outcome.tensors()
                + " tensors)");
        if (!outcome.passed()) {
            console.result("      first diverging: " + outcome.firstDiverging());
        }
        console.result("      worst: " + outcome.worst());
    }

    private int conclude(List<Outcome> outcomes, Console console) {
        long passed = outcomes.stream().filter(Outcome::passed).count();
        long errors = outcomes.stream().filter(outcome -> outcome.error() != null).count();
        if (output.json()) {
            Map<String, Object> json = new LinkedHashMap<>();
            json.put("schema", "kleinscope.validate/1");
            json.put("model", model.name());
            json.put("backend", backend.name());
            json.put("precision", backend.precision());
            if (backend.gemm() != null) {
                json.put("gemm", backend.gemm());
            }
            if (backend.compat() != null) {
                json.put("compat", backend.compat());
            }
            json.put("passed", passed);
            json.put("failed", outcomes.size() - passed - errors);
            json.put("errors", errors);
            json.put("cases", outcomes);
            console.json(json);
        } else {
            console.result(passed + " of " + outcomes.size() + (outcomes.size() == 1 ? " case passes" : " cases pass")
                    + (errors > 0 ? "; " + errors + " could not be run" : ""));
        }
        return errors > 0 ? ExitCodes.BAD_INPUT : passed == outcomes.size() ? ExitCodes.OK : ExitCodes.FINDING;
    }
}
