package dev.kleinscope.weights;

import dev.kleinscope.tensor.Tensor;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;

/** Several safetensors files under a {@code *.safetensors.index.json}, whose {@code weight_map} names the file of each tensor. */
public final class ShardedSafetensors implements WeightSource {

    private static final int MAX_SHARDS = 1000;

    private final Path index;
    private final Map<String, Safetensors> shards;
    private final Map<String, Safetensors> tensors;

    private ShardedSafetensors(Path index, Map<String, Safetensors> shards, Map<String, Safetensors> tensors) {
        this.index = index;
        this.shards = shards;
        this.tensors = tensors;
    }

    /**
     * Opens an index and every file it names, and checks them against each other.
     *
     * @throws ModelException if a file cannot be read or is malformed, a file's name leads out of the folder, or index and
     *         files disagree about a tensor
     */
    public static ShardedSafetensors open(Path index) {
        Map<String, String> weightMap = weightMap(index);
        Map<String, Safetensors> shards = new TreeMap<>();
        try {
            for (String name : weightMap.values()) {
                if (!shards.containsKey(name)) {
                    if (shards.size() == MAX_SHARDS) {
                        throw new ModelException(index + ": names more than " + MAX_SHARDS
                                + " files; check that it is the right file");
                    }
                    shards.put(name, Safetensors.open(index.resolveSibling(name)));
                }
            }
            return new ShardedSafetensors(index, shards, match(index, weightMap, shards));
        } catch (Throwable e) {
            shards.values().forEach(Safetensors::close);
            throw e;
        }
    }

    private static Map<String, String> weightMap(Path index) {
        JsonNode map = JsonFile.read(index).get("weight_map");
        if (map == null || !map.isObject() || map.isEmpty()) {
            throw new ModelException(index + ": expected a \"weight_map\" of tensor names to file names; download it again");
        }
        Map<String, String> result = new LinkedHashMap<>();
        map.forEachEntry((tensor, file) -> {
            if (!file.isString() || !plain(file.stringValue())) {
                throw new ModelException(index + ": " + Text.quote(tensor)
                        + ": expected the plain name of a .safetensors file, found "
                        + Text.quote(file.toString()) + "; do not use this model unless you know where it comes from");
            }
            result.put(tensor, file.stringValue());
        });
        return result;
    }

    /** Whether a name stays within its folder, whatever the platform's separators. */
    private static boolean plain(String name) {
        return name.endsWith(".safetensors") && !name.startsWith(".") && name.length() <= 255
                && name.chars().allMatch(c -> c > ' ' && c < 0x7f && "/\\:*?\"<>|".indexOf(c) < 0);
    }

    private static Map<String, Safetensors> match(Path index, Map<String, String> weightMap, Map<String,
            Safetensors> shards) {
        Map<String, Safetensors> tensors = new LinkedHashMap<>();
        for (Safetensors shard : shards.values()) {
            for (String name : shard.names()) {
                String expected = weightMap.get(name);
                if (expected == null) {
                    throw new ModelException(shard.path() + " holds " + Text.quote(name) + ", which " + index
                            + " does not list; the files are of different models, download all of them again");
                }
                Safetensors other = tensors.put(name, shard);
                if (other != null) {
                    throw new ModelException(Text.quote(name) + " is both in " + other.path() + " and in " + shard.path()
                            + "; download the model again");
                }
            }
        }
        weightMap.forEach((name, file) -> {
            if (tensors.get(name) != shards.get(file)) {
                throw new ModelException(index + " promises " + Text.quote(name) + " in " + file + ", which does not hold it"
                        + "; the files are of different models, download all of them again");
            }
        });
        return tensors;
    }

    private Safetensors shard(String name) {
        Safetensors shard = tensors.get(name);
        if (shard == null) {
            throw new ModelException(index + ": no tensor " + Text.quote(name));
        }
        return shard;
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(tensors.keySet());
    }

    @Override
    public Tensor tensor(String name) {
        return shard(name).tensor(name);
    }

    @Override
    public Path file(String name) {
        return shard(name).path();
    }

    @Override
    public String describe() {
        return index.toString();
    }

    @Override
    public List<Path> files() {
        List<Path> files = new ArrayList<>(List.of(index));
        shards.values().forEach(shard -> files.add(shard.path()));
        return Collections.unmodifiableList(files);
    }

    @Override
    public String headerHash() {
        String hashes = shards.values().stream().map(Safetensors::headerHash).collect(Collectors.joining("\n"));
        return Safetensors.sha256(hashes.getBytes(StandardCharsets.US_ASCII));
    }

    @Override
    public void close() {
        shards.values().forEach(Safetensors::close);
    }

    @Override
    public String toString() {
        return "ShardedSafetensors[" + index + ", " + shards.size() + " files, " + tensors.size() + " tensors]";
    }
}
