package dev.kleinscope.cli;

import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.text.Qwen3Config;
import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelBlueprint;
import dev.kleinscope.weights.ModelException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** What {@code --config} names: the sizes of a model of random weights. */
final class RandomSizes {

    static final String KLEIN_4B = "klein-4b";

    private RandomSizes() {
    }

    /** @throws UserInputException if there are no such sizes, or no model that opens has them */
    static ModelBlueprint of(String config) {
        ModelBlueprint blueprint;
        try {
            blueprint = config.equals(KLEIN_4B) ? ModelBlueprint.klein4b() : ModelBlueprint.read(Path.of(config));
        } catch (InvalidPathException e) {
            throw new UserInputException("--config: expected " + KLEIN_4B + " or a file, found what is no path: " + e.getMessage(), e);
        }
        requireUsable(config, blueprint);
        return blueprint;
    }

    /** Refuses what could be written but not opened again. */
    private static void requireUsable(String config, ModelBlueprint blueprint) {
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
}
