package dev.kleinscope.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/**
 * One part of a model.
 *
 * @param kind what it is
 * @param location its folder, or the single file that holds its weights
 * @param config its configuration; null for a single file, and for a tokenizer without one
 * @param random opens weights that are in no file; null where they are
 */
public record ModelComponent(ComponentKind kind, Path location, JsonNode config, Supplier<WeightSource> random) {

    ModelComponent(ComponentKind kind, Path location, JsonNode config) {
        this(kind, location, config, null);
    }

    /**
     * Opens its weights; the caller closes them. A DiT and an autoencoder have diffusers' names, whatever
     * those in their file are.
     *
     * @throws ModelException if there are none or they are malformed
     * @throws IllegalStateException for a tokenizer or a scheduler, which have no weights
     */
    public WeightSource open() {
        if (kind.weightFiles().isEmpty()) {
            throw new IllegalStateException("a " + kind.folder() + " has no weights");
        }
        if (random != null) {
            return random.get();
        }
        WeightSource source = openFile(Files.isDirectory(location) ? weightFile() : location);
        try {
            return switch (kind) {
                case TRANSFORMER -> DitNames.diffusers(source);
                case VAE -> VaeNames.diffusers(source);
                default -> source;
            };
        } catch (Throwable e) {
            source.close();
            throw e;
        }
    }

    /**
     * Another JSON object of its folder, such as {@code preprocessor_config.json}.
     *
     * @return null if there is no such file
     * @throws ModelException if it cannot be read, exceeds 10 MB or holds something else
     */
    public JsonNode json(String fileName) {
        Path file = location.resolve(fileName);
        return Files.isDirectory(location) && (Files.exists(file) || Files.isSymbolicLink(file)) ? JsonFile.read(file) : null;
    }

    /** Opens a .safetensors file or an index of several. */
    static WeightSource openFile(Path file) {
        return file.toString().endsWith(".json") ? ShardedSafetensors.open(file) : Safetensors.open(file);
    }

    private Path weightFile() {
        for (String name : kind.weightFiles()) {
            Path file = location.resolve(name);
            if (Files.exists(file) || Files.isSymbolicLink(file)) {
                return file;
            }
        }
        throw new ModelException(location + ": no weights, expected " + String.join(" or ", kind.weightFiles()) + foreign());
    }

    /** What else lies in the folder that someone may have taken for the weights. */
    private String foreign() {
        List<Path> files;
        try (Stream<Path> listing = Files.list(location)) {
            files = listing.sorted().toList();
        } catch (IOException e) {
            throw FileOpening.failure(location, e);
        }
        for (Path file : files) {
            String hint = ForeignFormat.of(file);
            if (hint != null) {
                return "; " + file.getFileName() + " " + hint;
            }
        }
        return "; download the model again, with its weights";
    }
}
