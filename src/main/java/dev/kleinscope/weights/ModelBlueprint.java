package dev.kleinscope.weights;

import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The configurations that a model folder can be made from.
 *
 * @param configs by component, each a {@code config.json} with the name of its class; unmodifiable
 * @param whole whether a scheduler and a tokenizer belong to it, which a single component goes without
 */
public record ModelBlueprint(Map<ComponentKind, JsonNode> configs, boolean whole) {

    private static final Set<ComponentKind> KINDS = Collections.unmodifiableSet(
            EnumSet.of(ComponentKind.TRANSFORMER, ComponentKind.TEXT_ENCODER, ComponentKind.VAE));
    /** The text encoder's hidden states that stand side by side in a prompt embedding. */
    private static final int PROMPT_STATES = 3;
    private static final int PATCH = 4;

    public ModelBlueprint {
        configs = Collections.unmodifiableMap(new EnumMap<>(configs));
    }

    /** FLUX.2-klein-4B with Qwen3-4B. */
    public static ModelBlueprint klein4b() {
        try (InputStream json = ModelBlueprint.class.getResourceAsStream("klein-4b.json")) {
            return components("klein-4b", JsonMapper.shared().readTree(json));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Reads a JSON object with the keys {@code transformer}, {@code text_encoder} and {@code vae}, of which some may be absent, or one
     * component's {@code config.json}.
     *
     * @throws ModelException if it is neither, a size is missing or beyond reason, or the components do not fit together
     */
    public static ModelBlueprint read(Path file) {
        JsonNode json = JsonFile.read(file);
        if (KINDS.stream().anyMatch(kind -> json.has(kind.folder()))) {
            return components(file.toString(), json);
        }
        if (Recognition.className(json).isEmpty()) {
            throw new ModelException(file + ": expected an object with transformer, text_encoder or vae, or the config.json of one of "
                    + "them with its _class_name or model_type, found " + Text.quote(json.propertyNames().toString()) + "; see --help");
        }
        ComponentKind kind = Recognition.byConfig(file, json);
        if (!KINDS.contains(kind)) {
            throw new ModelException(file + ": is the configuration of a " + kind.folder() + ", expected that of one of " + names());
        }
        return checked(file.toString(), Map.of(kind, json), false);
    }

    private static ModelBlueprint components(String origin, JsonNode json) {
        Map<ComponentKind, JsonNode> configs = new EnumMap<>(ComponentKind.class);
        json.forEachEntry((key, config) -> {
            ComponentKind kind = KINDS.stream().filter(known -> known.folder().equals(key)).findFirst().orElseThrow(
                    () -> new ModelException(origin + ": " + Text.quote(key) + ": expected one of " + names() + "; remove it"));
            if (!config.isObject()) {
                throw new ModelException(origin + ": " + key + ": expected an object as in config.json, found "
                        + Text.quote(config.toString()) + "; correct it or leave it out");
            }
            configs.put(kind, named(origin, kind, (ObjectNode) config.deepCopy()));
        });
        return checked(origin, configs, true);
    }

    private static List<String> names() {
        return KINDS.stream().map(ComponentKind::folder).toList();
    }

    /** With the class name by which a component is recognised. */
    private static JsonNode named(String origin, ComponentKind kind, ObjectNode config) {
        if (Recognition.className(config).isEmpty()) {
            switch (kind) {
                case TEXT_ENCODER -> config.put("model_type", "qwen3").putArray("architectures").add("Qwen3ForCausalLM");
                case TRANSFORMER -> config.put("_class_name", "Flux2Transformer2DModel");
                default -> config.put("_class_name", "AutoencoderKLFlux2");
            }
        }
        ComponentKind found = Recognition.byConfig(Path.of(origin), config);
        if (found != kind) {
            throw new ModelException(origin + ": " + kind.folder() + ": is the configuration of a " + found.folder() + "; correct it");
        }
        return config;
    }

    private static ModelBlueprint checked(String origin, Map<ComponentKind, JsonNode> configs, boolean whole) {
        ModelBlueprint blueprint = new ModelBlueprint(configs, whole);
        try {
            blueprint.bytes();
        } catch (ModelException e) {
            throw new ModelException(origin + ": " + e.getMessage(), e);
        }
        blueprint.requireProduct(origin, ComponentKind.TRANSFORMER, "joint_attention_dim", PROMPT_STATES,
                ComponentKind.TEXT_ENCODER, "hidden_size");
        blueprint.requireProduct(origin, ComponentKind.TRANSFORMER, "in_channels", PATCH, ComponentKind.VAE, "latent_channels");
        return blueprint;
    }

    private void requireProduct(String origin, ComponentKind kind, String key, int factor, ComponentKind source, String sourceKey) {
        if (!configs.containsKey(kind) || !configs.containsKey(source)) {
            return;
        }
        long found = configs.get(kind).path(key).asLong();
        long given = configs.get(source).path(sourceKey).asLong();
        if (found != factor * given) {
            throw new ModelException(origin + ": " + kind.folder() + " " + key + ": expected " + factor * given + ", " + factor
                    + " times the " + source.folder() + "'s " + sourceKey + ", found " + found + "; correct one of them");
        }
    }

    /** All tensors of a component. @throws ModelException if its configuration is wrong */
    public List<Declaration> layout(ComponentKind kind) {
        return ModelLayout.of(kind, configs.get(kind));
    }

    /** These components alone, without a scheduler and a tokenizer. @param folders by {@link ComponentKind#folder} */
    public ModelBlueprint only(Collection<String> folders) {
        Map<ComponentKind, JsonNode> chosen = new EnumMap<>(ComponentKind.class);
        chosen.putAll(configs);
        chosen.keySet().removeIf(kind -> !folders.contains(kind.folder()));
        return new ModelBlueprint(chosen, false);
    }

    /** Bytes of all weights together. @throws ModelException if a configuration is wrong or its weights exceed what can be counted */
    public long bytes() {
        try {
            long bytes = 0;
            for (ComponentKind kind : configs.keySet()) {
                for (Declaration declaration : layout(kind)) {
                    bytes = Math.addExact(bytes, declaration.bytes());
                }
            }
            return bytes;
        } catch (ArithmeticException e) {
            throw new ModelException("the sizes of the configuration multiply to more bytes than can be counted; make them smaller", e);
        }
    }
}
