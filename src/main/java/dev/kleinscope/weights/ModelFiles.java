package dev.kleinscope.weights;

import dev.kleinscope.tensor.DrawnStorage;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import java.util.Set;
import tools.jackson.databind.JsonNode;

/** Where a model's components lie: in a folder as diffusers writes it, in a folder of one component, or in a single file. */
public final class ModelFiles {

    static final String INDEX = "model_index.json";

    private final Path origin;
    private final Map<ComponentKind, ModelComponent> components;
    private final Boolean distilled;

    private ModelFiles(Path origin, Map<ComponentKind, ModelComponent> components, Boolean distilled) {
        this.origin = origin;
        this.components = components;
        this.distilled = distilled;
    }

    /**
     * Finds a model. Reads configurations and headers, no weights.
     *
     * @param argument a model folder (with {@code model_index.json}), a component's folder, a .safetensors file or its index, or a
     *        name like {@code black-forest-labs/FLUX.2-klein-4B} that was downloaded to Hugging Face's cache
     * @throws ModelException if there is nothing usable
     */
    public static ModelFiles resolve(String argument) {
        return resolve(argument, new HubCache(System.getenv(), Path.of(System.getProperty("user.home"))));
    }

    static ModelFiles resolve(String argument, HubCache cache) {
        Path path;
        try {
            path = Path.of(argument);
        } catch (InvalidPathException e) {
            throw new ModelException(Text.quote(argument) + " is not a path: " + e.getReason()
                    + "; check its characters", e);
        }
        if (argument.isEmpty()) {
            throw new ModelException("the model's name is empty; give a folder, a file, or a name like black-forest-labs/FLUX.2-klein-4B");
        }
        if (Files.isDirectory(path)) {
            return folder(path);
        }
        if (Files.exists(path) || Files.isSymbolicLink(path) || !HubCache.isId(argument)) {
            return file(path);
        }
        return folder(cache.snapshot(argument));
    }

    /**
     * A model of random weights that no file holds: those that {@link RandomModel} writes of the same blueprint and seed.
     *
     * @param name what to call it
     * @param companions a model folder whose tokenizer and scheduler it takes
     * @param inMemory whether its tensors are drawn into memory when they are opened; otherwise they are {@link DrawnStorage}, which a
     *        GPU draws from
     */
    public static ModelFiles random(String name, ModelBlueprint blueprint, Path companions, long seed, boolean inMemory) {
        Map<ComponentKind, ModelComponent> components = new EnumMap<>(ComponentKind.class);
        ModelFiles around = folder(companions);
        if (blueprint.whole()) {
            components.putAll(around.components);
        }
        components.keySet().removeIf(ComponentKind::hasWeights);
        blueprint.configs().forEach((kind, config) -> components.put(kind, new ModelComponent(kind, Path.of(name), config,
                () -> RandomSource.open(name + "'s random " + kind.folder(), blueprint.layout(kind), seed, inMemory))));
        return new ModelFiles(Path.of(name), components, around.distilled);
    }

    private static ModelFiles file(Path file) {
        String foreign = Files.exists(file) ? ForeignFormat.of(file) : null;
        if (foreign != null) {
            throw new ModelException(file + " " + foreign);
        }
        try (WeightSource source = ModelComponent.openFile(file)) {
            ComponentKind kind = Recognition.byNames(source);
            return new ModelFiles(file, Map.of(kind, new ModelComponent(kind, file, null)), null);
        }
    }

    private static ModelFiles folder(Path folder) {
        Map<ComponentKind, ModelComponent> components = new EnumMap<>(ComponentKind.class);
        if (Files.exists(folder.resolve(INDEX))) {
            JsonNode index = JsonFile.read(folder.resolve(INDEX));
            checkPipeline(folder.resolve(INDEX), index);
            for (ComponentKind kind : ComponentKind.values()) {
                Path part = folder.resolve(kind.folder());
                if (index.has(kind.folder()) && Files.isDirectory(part)) {
                    components.put(kind, component(kind, part));
                }
            }
            return new ModelFiles(folder, components, distilled(folder.resolve(INDEX), index));
        }
        if (Files.exists(folder.resolve("config.json"))) {
            Path config = folder.resolve("config.json");
            ComponentKind kind = Recognition.byConfig(config, JsonFile.read(config));
            components.put(kind, component(kind, folder));
        }
        if (Files.exists(folder.resolve("tokenizer.json"))) {
            components.put(ComponentKind.TOKENIZER, component(ComponentKind.TOKENIZER, folder));
        }
        if (Files.exists(folder.resolve(ComponentKind.SCHEDULER.config()))) {
            components.put(ComponentKind.SCHEDULER, component(ComponentKind.SCHEDULER, folder));
        }
        if (components.isEmpty()) {
            throw new ModelException(folder + " is not a model folder: expected " + INDEX + ", or config.json with weights"
                    + "; give the folder that holds them, or a .safetensors file");
        }
        return new ModelFiles(folder, components, null);
    }

    private static void checkPipeline(Path file, JsonNode index) {
        String name = Recognition.className(index);
        if (!name.startsWith("Flux2")) {
            throw new ModelException(file + ": expected a Flux2KleinPipeline, found " + (name.isEmpty()
                    ? "no _class_name" : Text.quote(name))
                    + (name.startsWith("Flux") ? ", which is FLUX.1 and not supported" : "") + "; use a FLUX.2 klein model");
        }
    }

    private static Boolean distilled(Path file, JsonNode index) {
        JsonNode value = index.get("is_distilled");
        if (value != null && !value.isBoolean()) {
            throw new ModelException(file + ": is_distilled: expected true or false, found " + Text.quote(value.toString())
                    + "; download it again");
        }
        return value == null ? null : Boolean.valueOf(value.booleanValue());
    }

    private static ModelComponent component(ComponentKind kind, Path folder) {
        Path file = folder.resolve(kind.config());
        if (kind == ComponentKind.TOKENIZER && !Files.exists(file)) {
            return new ModelComponent(kind, folder, null);
        }
        JsonNode config = JsonFile.read(file);
        if (!kind.weightFiles().isEmpty()) {
            ComponentKind found = Recognition.byConfig(file, config);
            if (found != kind) {
                throw new ModelException(file + ": expected the configuration of a " + kind.folder() + ", found that of a "
                        + found.folder() + " (" + Text.quote(Recognition.className(config)) + "); use a FLUX.2 klein model");
            }
        }
        return new ModelComponent(kind, folder, config);
    }

    /** The folder or file that was found. */
    public Path origin() {
        return origin;
    }

    public Set<ComponentKind> kinds() {
        return Collections.unmodifiableSet(components.keySet());
    }

    public boolean has(ComponentKind kind) {
        return components.containsKey(kind);
    }

    /** @throws ModelException if there is none of that kind */
    public ModelComponent component(ComponentKind kind) {
        ModelComponent component = components.get(kind);
        if (component == null) {
            throw new ModelException(origin + ": no " + kind.folder() + " here, only " + components.values().stream()
                    .map(other -> other.kind().folder()).toList() + "; give a whole model folder, or name the "
                    + kind.folder() + " separately");
        }
        return component;
    }

    /** Whether the model was distilled to few steps without guidance; null where {@code model_index.json} does not tell. */
    public Boolean isDistilled() {
        return distilled;
    }

    @Override
    public String toString() {
        return "ModelFiles[" + origin + ", " + components.keySet() + (distilled == null ? "" : ", distilled "
                + distilled) + "]";
    }
}
