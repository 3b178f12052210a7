package dev.kleinscope.cli;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.dump.ActivationDump;
import dev.kleinscope.pipeline.dump.DumpPlan;
import dev.kleinscope.pipeline.intervene.Interventions;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.Text;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Set;
import java.util.stream.Collectors;
import tools.jackson.databind.ObjectMapper;

/**
 * A run whose activations go to a file.
 *
 * @param drawing which model, where, how
 * @param prompt as given
 * @param references files of reference images
 * @param seed of the noise
 * @param points globs, or null for every block's output and the latents
 * @param atSteps steps that are kept, or null for all
 * @param stored type in the file, or null for each activation's own
 * @param changes made of activations before they are kept; the caller closes their files
 */
record DumpRun(DrawingOptions drawing, String prompt, List<Path> references, long seed, List<String> points, StepList atSteps,
        DType stored, InterveneOptions.Opened changes) {

    static final String SCHEMA = "kleinscope.dump/1";

    private static final List<String> BLOCKS = List.of("transformer_blocks.*", "single_transformer_blocks.*", "latents");

    /**
     * What was written, or would be.
     *
     * @param parameters of the run, as in the file's metadata
     * @param cost null if nothing was written
     * @param seconds of the whole run
     */
    record Dumped(DumpPlan plan, Map<String, Object> parameters, ActivationDump.Cost cost, double seconds) {
    }

    /**
     * Runs the model as far as the last step that is kept.
     *
     * @param ops to compute on
     * @param out the file; null to tell only what it would hold
     * @throws UserInputException if the model has no such points or the run no such steps
     */
    Dumped run(Ops ops, Path out, Console console) {
        long started = System.nanoTime();
        try (Klein klein = new Klein(drawing.model().files(), ops)) {
            console.note("backend " + drawing.backend().describe(ops) + "; model " + drawing.model().name());
            Denoising denoising = drawing.denoising(klein, console, null);
            Set<Point> selected = select(klein);
            NavigableSet<Integer> steps = atSteps == null ? StepList.all(denoising.steps()) : atSteps.of(denoising.steps());
            List<HostTensor> encoded = new ArrayList<>();
            PictureSize fallback = drawing.fallbackSize();
            for (Path reference : references) {
                encoded.add(klein.pictures().encode(ImageFile.read(reference)));
                Shape latents = encoded.getFirst().shape();
                fallback = new PictureSize((int) latents.dim(3) * 16, (int) latents.dim(2) * 16);
            }
            HostTensor noise = drawing.noise().bySeed(klein, List.of(seed), fallback).firstEntry().getValue();
            DumpPlan plan = DumpPlan.of(selected, steps, denoising, noise, encoded,
                    Shape.of(1, drawing.maxTokens(), klein.ditConfig().textDim()), stored, ops);
            klein.identify(ComponentKind.TEXT_ENCODER);
            Map<String, Object> parameters = parameters(klein, denoising, noise, steps);
            if (out == null) {
                return new Dumped(plan, parameters, null, (System.nanoTime() - started) / 1e9);
            }
            console.note(plan.tensors().size() + " tensors of " + Text.bytes(plan.bytes()) + " go to " + out + free(out));
            ActivationDump.Cost cost;
            try (Progress progress = console.progress("dump", plan.tensors().size());
                    ActivationDump dump = new ActivationDump(out, plan, text(parameters), ops, progress::step)) {
                draw(klein, denoising, noise, encoded, dump);
                cost = dump.commit();
            }
            return new Dumped(plan, parameters, cost, (System.nanoTime() - started) / 1e9);
        }
    }

    private void draw(Klein klein, Denoising denoising, HostTensor noise, List<HostTensor> encoded, ActivationDump dump) {
        dump.input(DumpPlan.NOISE, noise);
        Prompt positive = klein.tokenizer().prompt(prompt, drawing.maxTokens());
        HostTensor cond = klein.encode(positive, dump.text(Pass.COND));
        dump.input(DumpPlan.PROMPT, cond);
        Prompt negative = denoising.guided() ? klein.tokenizer().prompt("", drawing.maxTokens()) : null;
        HostTensor uncond = null;
        if (negative != null) {
            uncond = klein.encode(negative, dump.text(Pass.UNCOND));
            dump.input(DumpPlan.NEGATIVE, uncond);
        }
        klein.dropTextEncoder();
        klein.denoise(denoising, noise, cond, uncond, encoded, new Interventions(changes.list(), Prompt.groups(positive, negative)), dump, dump);
    }

    private Set<Point> select(Klein klein) {
        PointCatalog catalog = DumpPlan.catalog(klein.ditConfig(), klein.textConfig());
        try {
            if (points != null) {
                return catalog.select(points);
            }
            // a model may have blocks of one kind only
            Set<String> kinds = catalog.points().stream().map(point -> point.name().replaceFirst("\\..*", "")).collect(Collectors.toSet());
            return catalog.select(BLOCKS.stream().filter(glob -> kinds.contains(glob.replaceFirst("\\..*", ""))).toList());
        } catch (IllegalArgumentException e) {
            throw new UserInputException("--points: " + e.getMessage());
        }
    }

    /** Everything needed to repeat the run, in the words of the options. */
    private Map<String, Object> parameters(Klein klein, Denoising denoising, HostTensor noise, NavigableSet<Integer> steps) {
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("schema", SCHEMA);
        parameters.put("kind", "dump");
        parameters.put("kleinscope", Version.summary());
        parameters.put("prompt", prompt);
        if (denoising.guided()) {
            parameters.put("negative_prompt", "");
        }
        parameters.put("seed", seed);
        drawing.record(parameters, klein, denoising);
        drawing.noise().record(parameters, List.of(seed), noise);
        changes.record(parameters);
        parameters.put("images", references.stream().map(path -> path.toAbsolutePath().toString()).toList());
        parameters.put("points", points == null ? BLOCKS : points);
        parameters.put("at_steps", List.copyOf(steps));
        parameters.put("dtype", stored == null ? "own" : stored.name());
        return parameters;
    }

    /** As a header's metadata, which knows only strings: text as it is, all else as JSON. */
    private static Map<String, String> text(Map<String, Object> parameters) {
        ObjectMapper json = new ObjectMapper();
        Map<String, String> text = new LinkedHashMap<>();
        parameters.forEach((key, value) -> text.put(key, value instanceof String string ? string : json.writeValueAsString(value)));
        return text;
    }

    private static String free(Path out) {
        try {
            Path folder = out.toAbsolutePath().getParent();
            return Files.isDirectory(folder) ? "; " + Text.bytes(Files.getFileStore(folder).getUsableSpace()) + " are free there" : "";
        } catch (IOException e) {
            throw new UncheckedIOException(out + ": " + e.getMessage(), e);
        }
    }
}
