package dev.kleinscope.cli;

import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelBlueprint;
import dev.kleinscope.weights.RandomModel;
import dev.kleinscope.weights.Text;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
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
            "  kleinscope synth --config klein-4b --component transformer --out transformer-random",
            "      its transformer alone, 7.8 GB",
            "  kleinscope synth --config sizes.json --out model --seed 7",
            "      {\"transformer\": {...}, \"text_encoder\": {...}, \"vae\": {...}}, each as in its",
            "      config.json; what is absent is left out",
            "  kleinscope synth --config transformer/config.json --out model",
            "      one component",
        })
final class SynthCommand implements Callable<Integer> {

    @Mixin
    private OutputOptions output;

    @Option(names = "--config", paramLabel = "SIZES", required = true,
            description = RandomSizes.KLEIN_4B + ", or a JSON file: an object with transformer, text_encoder and vae, or one component's config.json.")
    private String config;

    @Option(names = "--component", paramLabel = "NAME", split = ",",
            description = "Write these alone, without a tokenizer: transformer, text_encoder, vae. Default: what the sizes have.")
    private List<String> components = List.of();

    @Option(names = {"-o", "--out"}, paramLabel = "DIR", required = true,
            description = "Folder to write; it must be new or empty, and appears when it is complete.")
    private Path out;

    @Option(names = "--seed", paramLabel = "SEED", defaultValue = "1",
            description = "What the weights are drawn from. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Override
    public Integer call() throws InterruptedException {
        ModelBlueprint blueprint = blueprint();
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
        ModelBlueprint blueprint = RandomSizes.of(config);
        if (components.isEmpty()) {
            return blueprint;
        }
        List<String> there = blueprint.configs().keySet().stream().map(ComponentKind::folder).toList();
        if (!there.containsAll(components)) {
            throw new UserInputException("--component " + String.join(",", components) + ": " + config + " has " + there);
        }
        return blueprint.only(components);
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
