package dev.kleinscope.weights;

import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/** Tells what a configuration or a file of weights is for; never by its name. */
final class Recognition {

    private static final String SUPPORTED = "; supported are FLUX.2 klein's DiT, Qwen3, FLUX.2's autoencoder and CLIP";
    private static final Map<String, ComponentKind> CLASSES = Map.of(
            "Flux2Transformer2DModel", ComponentKind.TRANSFORMER, "AutoencoderKLFlux2", ComponentKind.VAE,
            "qwen3", ComponentKind.TEXT_ENCODER, "clip", ComponentKind.CLIP);

    private Recognition() {
    }

    /** By {@code _class_name} (diffusers) or {@code model_type} (transformers). */
    static ComponentKind byConfig(Path file, JsonNode config) {
        String name = className(config);
        ComponentKind kind = CLASSES.get(name);
        if (kind != null) {
            return kind;
        }
        String found = switch (name) {
            case "" -> "names neither a _class_name nor a model_type";
            case "FluxTransformer2DModel" -> "is of a FLUX.1 transformer, which is not supported";
            case "AutoencoderKL" -> "is of the autoencoder of FLUX.1 or Stable Diffusion, which is not supported";
            default -> "is of a " + Text.quote(name) + ", which is not supported";
        };
        throw new ModelException(file + " " + found + SUPPORTED);
    }

    static String className(JsonNode config) {
        for (String key : new String[] {"_class_name", "model_type"}) {
            JsonNode value = config.get(key);
            if (value != null && value.isString()) {
                return value.stringValue();
            }
        }
        return "";
    }

    /** By the names of the tensors. */
    static ComponentKind byNames(WeightSource source) {
        Set<String> names = source.names();
        String prefix = names.stream().anyMatch(name -> name.startsWith(DitNames.PREFIX)) ? DitNames.PREFIX : "";
        if (names.contains(prefix + DitNames.BFL_KEY) || names.contains(prefix + DitNames.DIFFUSERS_KEY)) {
            return ComponentKind.TRANSFORMER;
        }
        if (names.contains("model.layers.0.self_attn.q_norm.weight")) {
            return ComponentKind.TEXT_ENCODER;
        }
        if (names.contains("text_model.embeddings.token_embedding.weight")) {
            return ComponentKind.CLIP;
        }
        if (names.contains("decoder.conv_in.weight") && names.contains("bn.running_mean")) {
            return ComponentKind.VAE;
        }
        throw new ModelException(source.describe() + " " + other(names, prefix) + SUPPORTED);
    }

    private static String other(Set<String> names, String prefix) {
        if (names.contains(prefix + "double_blocks.0.img_mod.lin.weight")
                || names.contains("transformer_blocks.0.norm1_context.linear.weight")
                && names.contains("single_transformer_blocks.0.norm.linear.weight")) {
            return "is a FLUX.1 transformer, which is not supported";
        }
        if (names.stream().anyMatch(name -> name.contains(".lora_A.") || name.contains(".lora_down."))) {
            return "is a LoRA: a change to a model, not a model";
        }
        if (names.contains("decoder.conv_in.weight")) {
            return "is the autoencoder of another model, without the batch norm of FLUX.2's";
        }
        return "holds no model that is known here (its first tensor is "
                + names.stream().findFirst().map(Text::quote).orElse("missing") + ")";
    }
}
