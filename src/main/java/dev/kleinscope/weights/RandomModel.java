package dev.kleinscope.weights;

import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Writes a model folder of random weights, as diffusers would have saved it. It appears under its name whole, or not at all. */
public final class RandomModel {

    /** What transformers and diffusers put at most into one file. */
    private static final long TEXT_SHARD_BYTES = 5_000_000_000L;
    private static final long SHARD_BYTES = 10_000_000_000L;
    private static final JsonMapper JSON = JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    private final ModelBlueprint blueprint;
    private final Path companions;
    private final long seed;
    private final long textShardBytes;

    /**
     * @param blueprint what to write
     * @param companions a model folder whose {@code model_index.json}, scheduler and tokenizer are copied
     * @param seed what the weights are drawn from
     */
    public RandomModel(ModelBlueprint blueprint, Path companions, long seed) {
        this(blueprint, companions, seed, TEXT_SHARD_BYTES);
    }

    RandomModel(ModelBlueprint blueprint, Path companions, long seed, long textShardBytes) {
        this.blueprint = blueprint;
        this.companions = companions;
        this.seed = seed;
        this.textShardBytes = textShardBytes;
    }

    /**
     * A component that was written.
     *
     * @param files of weights, by name
     */
    public record Written(String component, int tensors, long parameters, long bytes, List<String> files) {
    }

    /** How often {@code progress} is called by {@link #write}. */
    public long steps() {
        return blueprint.configs().keySet().stream().flatMap(kind -> blueprint.layout(kind).stream())
                .mapToLong(declaration -> Math.ceilDiv(declaration.bytes(), ChunkPipeline.CHUNK_BYTES)).sum();
    }

    /**
     * Writes the folder.
     *
     * @param target where it will appear: nothing may be there but an empty folder
     * @param usableBytes tells how much is free in a folder
     * @param progress called with the name of what was written
     * @throws ModelException if there is something at {@code target}, or too little space, or the disk fails
     * @throws InterruptedException if the thread was interrupted; nothing is left behind, as after any failure
     */
    public List<Written> write(Path target, ToLongFunction<Path> usableBytes, Consumer<String> progress) throws InterruptedException {
        Path absolute = target.toAbsolutePath().normalize();
        Path parent = absolute.getParent();
        checkTarget(target, absolute);
        checkSpace(target, parent, usableBytes.applyAsLong(parent));
        Path temporary = parent.resolve("." + absolute.getFileName() + "." + UUID.randomUUID() + ".tmp");
        try {
            Files.createDirectory(temporary);
            List<Written> written = new ArrayList<>();
            for (Map.Entry<ComponentKind, JsonNode> config : blueprint.configs().entrySet()) {
                written.add(component(temporary, config.getKey(), config.getValue(), progress));
            }
            companions(temporary);
            Files.deleteIfExists(absolute);
            Files.move(temporary, absolute, StandardCopyOption.ATOMIC_MOVE);
            return List.copyOf(written);
        } catch (IOException e) {
            delete(temporary);
            throw new ModelException(target + " could not be written: " + FileOpening.reason(e) + "; give another folder", e);
        } catch (ModelException e) {
            delete(temporary);
            if (e.getCause() instanceof ClosedByInterruptException) {
                throw (InterruptedException) new InterruptedException("stopped while writing").initCause(e);
            }
            throw e;
        } catch (RuntimeException | Error | InterruptedException e) {
            delete(temporary);
            throw e;
        }
    }

    private static void checkTarget(Path target, Path absolute) {
        if (absolute.getFileName() == null || !Files.isDirectory(absolute.getParent())) {
            throw new ModelException(target + ": the folder around it does not exist; create it first, or give another path");
        }
        if (Files.exists(absolute) && !Files.isDirectory(absolute)) {
            throw new ModelException(target + " is a file; give the name of a new folder");
        }
        try (Stream<Path> listing = Files.isDirectory(absolute) ? Files.list(absolute) : Stream.empty()) {
            if (listing.findAny().isPresent()) {
                throw new ModelException(target + " exists and is not empty; give a new folder, nothing is overwritten");
            }
        } catch (IOException e) {
            throw FileOpening.failure(target, e);
        }
    }

    private void checkSpace(Path target, Path parent, long usable) {
        // headers and JSON files come to less than that, even of a model of a hundred thousand tensors
        long needed = Math.addExact(blueprint.bytes(), 64_000_000);
        if (usable < needed) {
            throw new ModelException(target + " takes " + Text.bytes(needed) + ", but only " + Text.bytes(usable) + " are free in "
                    + parent + ": " + Text.bytes(needed - usable) + " are missing; free space or give another folder");
        }
    }

    private Written component(Path model, ComponentKind kind, JsonNode config, Consumer<String> progress)
            throws IOException, InterruptedException {
        Path folder = Files.createDirectory(model.resolve(kind.folder()));
        Files.writeString(folder.resolve(kind.config()), JSON.writeValueAsString(config) + "\n");
        List<Declaration> layout = blueprint.layout(kind);
        List<List<Declaration>> shards = shards(layout, kind == ComponentKind.TEXT_ENCODER ? textShardBytes : SHARD_BYTES);
        List<String> files = new ArrayList<>();
        ObjectNode index = JSON.createObjectNode();
        long bytes = layout.stream().mapToLong(Declaration::bytes).sum();
        index.putObject("metadata").put("total_size", bytes);
        ObjectNode weightMap = index.putObject("weight_map");
        String single = kind.weightFiles().getFirst();
        for (int i = 0; i < shards.size(); i++) {
            String file = shards.size() == 1 ? single
                    : single.replace(".safetensors", String.format("-%05d-of-%05d.safetensors", i + 1, shards.size()));
            files.add(file);
            shards.get(i).forEach(declaration -> weightMap.put(declaration.name(), file));
            try (SafetensorsWriter writer = SafetensorsWriter.create(folder.resolve(file), shards.get(i), Map.of("format", "pt"))) {
                ChunkPipeline.write(writer, shards.get(i), seed, name -> progress.accept(kind.folder() + " " + name));
                writer.commit();
            } catch (IllegalArgumentException e) {
                throw new ModelException(kind.folder() + ": " + e.getMessage() + "; make the model smaller", e);
            }
        }
        if (shards.size() > 1) {
            Files.writeString(folder.resolve(kind.weightFiles().getLast()), JSON.writeValueAsString(index) + "\n");
        }
        long parameters = layout.stream().mapToLong(declaration -> declaration.shape().elements()).sum();
        return new Written(kind.folder(), layout.size(), parameters, bytes, List.copyOf(files));
    }

    /** In order, each shard as full as the limit allows. */
    static List<List<Declaration>> shards(List<Declaration> declarations, long limitBytes) {
        List<List<Declaration>> shards = new ArrayList<>();
        long bytes = 0;
        for (Declaration declaration : declarations) {
            if (shards.isEmpty() || bytes + declaration.bytes() > limitBytes) {
                shards.add(new ArrayList<>());
                bytes = 0;
            }
            shards.getLast().add(declaration);
            bytes += declaration.bytes();
        }
        return shards;
    }

    private void companions(Path model) throws IOException {
        ObjectNode index = (ObjectNode) JsonFile.read(companions.resolve(ModelFiles.INDEX)).deepCopy();
        for (ComponentKind kind : ComponentKind.values()) {
            boolean weights = !kind.weightFiles().isEmpty();
            if (!weights && blueprint.whole()) {
                copy(companions.resolve(kind.folder()), model.resolve(kind.folder()));
            } else if (index.has(kind.folder()) && !blueprint.configs().containsKey(kind)) {
                // how diffusers writes that a pipeline lacks a part
                index.putArray(kind.folder()).addNull().addNull();
            }
        }
        Files.writeString(model.resolve(ModelFiles.INDEX), JSON.writeValueAsString(index) + "\n");
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectory(to);
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(file.getFileName()));
            }
        }
    }

    private static void delete(Path folder) {
        try (Stream<Path> files = Files.walk(folder)) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        } catch (IOException e) {
            // Never created, or gone with its disk.
        }
    }
}
