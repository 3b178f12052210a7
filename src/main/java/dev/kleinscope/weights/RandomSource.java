package dev.kleinscope.weights;

import dev.kleinscope.tensor.DrawnStorage;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Random weights that no file holds: drawn where they are needed, or into memory. */
final class RandomSource implements WeightSource {

    /** Memory that weights may be drawn into: a miniature's, or an autoencoder's. */
    static final long MEMORY_BYTES = 2_000_000_000L;

    private final String name;
    private final Map<String, Declaration> declarations = new LinkedHashMap<>();
    private final RandomWeights weights;
    private final Arena memory;
    private final Map<String, Tensor> tensors = new HashMap<>();
    private boolean closed;

    private RandomSource(String name, List<Declaration> layout, long seed, Arena memory) {
        this.name = name;
        layout.forEach(declaration -> declarations.put(declaration.name(), declaration));
        weights = new RandomWeights(seed);
        this.memory = memory;
    }

    /**
     * Opens weights.
     *
     * @param name for messages
     * @param inMemory whether tensors are in memory; otherwise they are {@link DrawnStorage}
     * @throws ModelException if they are to be in memory and exceed {@link #MEMORY_BYTES}
     */
    static RandomSource open(String name, List<Declaration> layout, long seed, boolean inMemory) {
        long bytes = layout.stream().mapToLong(Declaration::bytes).sum();
        if (inMemory && bytes > MEMORY_BYTES) {
            throw new ModelException(name + " weights take " + Text.bytes(bytes) + ", and only --backend cuda makes more than "
                    + Text.bytes(MEMORY_BYTES) + " without a file: write them with `kleinscope synth` and name the folder with -m");
        }
        return new RandomSource(name, layout, seed, inMemory ? Arena.ofShared() : null);
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(declarations.keySet());
    }

    @Override
    public synchronized Tensor tensor(String tensor) {
        if (closed) {
            throw new IllegalStateException(name + " is closed");
        }
        return tensors.computeIfAbsent(tensor, this::draw);
    }

    private Tensor draw(String tensor) {
        Declaration declaration = declarations.get(tensor);
        if (declaration == null) {
            throw new ModelException(name + ": no tensor " + Text.quote(tensor));
        }
        DrawnStorage drawn = weights.of(declaration);
        if (memory == null) {
            return Tensor.of(tensor, declaration.dtype(), declaration.shape(), drawn);
        }
        MemorySegment values = memory.allocate(Math.max(1, declaration.bytes()), Long.BYTES).asSlice(0, declaration.bytes());
        drawn.fill(0, values);
        return Tensor.of(tensor, declaration.dtype(), declaration.shape(), new HostStorage(values));
    }

    @Override
    public Path file(String tensor) {
        return Path.of(name);
    }

    @Override
    public String describe() {
        return name;
    }

    @Override
    public List<Path> files() {
        return List.of();
    }

    @Override
    public String headerHash() {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256")
                    .digest(declarations.values().toString().getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        for (Tensor tensor : tensors.values()) {
            switch (tensor.storage()) {
                case DrawnStorage drawn -> drawn.free("closing " + name);
                case HostStorage host -> host.free("closing " + name);
                default -> throw new IllegalStateException(tensor.name());
            }
        }
        if (memory != null) {
            memory.close();
        }
    }
}
