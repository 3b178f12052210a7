package dev.kleinscope.weights;

import java.util.List;

/** The parts of a model folder, with the names of their subfolder, configuration and weights. */
public enum ComponentKind {
    TRANSFORMER("transformer", "config.json", "diffusion_pytorch_model"),
    TEXT_ENCODER("text_encoder", "config.json", "model"),
    VAE("vae", "config.json", "diffusion_pytorch_model"),
    CLIP("clip", "config.json", "model"),
    TOKENIZER("tokenizer", "tokenizer_config.json", null),
    SCHEDULER("scheduler", "scheduler_config.json", null);

    private final String folder;
    private final String config;
    private final String weights;

    ComponentKind(String folder, String config, String weights) {
        this.folder = folder;
        this.config = config;
        this.weights = weights;
    }

    /** Its subfolder in a model folder, and its key in {@code model_index.json}. */
    public String folder() {
        return folder;
    }

    String config() {
        return config;
    }

    /** Whether it has weights, and not only a configuration. */
    public boolean hasWeights() {
        return weights != null;
    }

    /** Names its weights may have, the preferred first; empty if it has none. */
    List<String> weightFiles() {
        return weights == null ? List.of() : List.of(weights + ".safetensors", weights + ".safetensors.index.json");
    }
}
