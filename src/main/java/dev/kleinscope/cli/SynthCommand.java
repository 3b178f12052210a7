package dev.kleinscope.cli;

import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.text.Qwen3Config;
import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelBlueprint;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.RandomModel;
import dev.kleinscope.weights.Text;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code kleinscope synth}: a model folder of any size, with random weights. */
@Command(
        name = "synth",
        description = "Write a model folder of random weights, of any size: for measuring speed and memory without a download.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope synth --config klein-4b --out klein-4b-random",
            "      the sizes of FLUX.2-klein-4B, 16 GB",
            "  kleinscope synth --config sizes.json --out model --seed 7",
            "      {\"transformer\": {...}, \"text_encoder\": {...}, \"vae\": {...}}, each as in its",
            "      config.json; what is absent is left out",
            "  kleinscope synth --config transformer/config.json --out model",
            "      one component",
        })
final class SynthCommand implements Callable<Integer> {

    private static final String KLEIN_4B = "klein-4b";

    @Mixin
    private OutputOptions output;

    @Option(names = "--config", paramLabel = "SIZES", required = true,
            description = KLEIN_4B + ", or a JSON file: an object with transformer, text_encoder and vae, or one component's config.json.")
    private String config;

    @Option(names = {"-o", "--out"}, paramLabel = "DIR", required = true,
            description = "Folder to write; it must be new or empty, and appears when it is complete.")
    private Path out;

    @Option(names = "--seed", paramLabel = "SEED", defaultValue = "1",
            description = "What the weights are drawn from. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Override
    public Integer call() throws InterruptedException {
        ModelBlueprint blueprint = blueprint();
        requireUsable(blueprint);
        Console console = output.console();
        RandomModel model = new RandomModel(blueprint, ModelOptions.bundled(), seed);
        long started = System.nanoTime();
        List<RandomModel.Written> written;
        try (Progress progress = console.progress("synth", model.steps())) {
            written = model.write(out, SynthCommand::usableBytes, progress::step);
        }
        double seconds = (System.nanoTime() - started) / 1e9;
        if (output.json()) {
            Map<String, Object> json = new LinkedHashMap<>();
            json.put("schema", "kleinscope.synth/1");
            json.put("out", out.toString());
            json.put("config", config);
            json.put("seed", seed);
            json.put("seconds", seconds);
            json.put("components", written);
            console.json(json);
        } else {
            print(console, written, seconds);
        }
        return ExitCodes.OK;
    }

    private ModelBlueprint blueprint() {
        if (config.equals(KLEIN_4B)) {
            return ModelBlueprint.klein4b();
        }
        try {
            return ModelBlueprint.read(Path.of(config));
        } catch (InvalidPathException e) {
            throw new UserInputException("--config: expected " + KLEIN_4B + " or a file, found what is no path: " + e.getMessage(), e);
        }
    }

    /** Refuses what could be written but not opened again. */
    private void requireUsable(ModelBlueprint blueprint) {
        try {
            if (blueprint.configs().containsKey(ComponentKind.TRANSFORMER)) {
                DitConfig.from(blueprint.configs().get(ComponentKind.TRANSFORMER));
            }
            if (blueprint.configs().containsKey(ComponentKind.TEXT_ENCODER)) {
                Qwen3Config qwen = Qwen3Config.from(blueprint.configs().get(ComponentKind.TEXT_ENCODER));
                if (qwen.layers() < TextEncoder.layersNeeded()) {
                    throw new ModelException("text encoder configuration: num_hidden_layers: expected at least "
                            + TextEncoder.layersNeeded()
                            + ", whose output is part of the prompt embeddings, found " + qwen.layers() + "; correct config.json");
                }
            }
        } catch (ModelException e) {
            throw new UserInputException(config + ": " + e.getMessage(), e);
        }
    }

    private static long usableBytes(Path folder) {
        try {
            return Files.getFileStore(folder).getUsableSpace();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void print(Console console, List<RandomModel.Written> written, double seconds) {
        written.forEach(component -> console.result(String.format(Locale.ROOT, "%-13s %,15d parameters in %d tensors, %s",
                component.component(), component.parameters(), component.tensors(), Text.bytes(component.bytes()))));
        long bytes = written.stream().mapToLong(RandomModel.Written::bytes).sum();
        console.result("written to " + out);
        console.note(String.format(Locale.ROOT, "%.1f s, %.0f MB/s", seconds, bytes / 1e6 / seconds));
    }
}
