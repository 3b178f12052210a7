package dev.kleinscope.weights;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A safetensors file, mapped into memory: a little-endian length of 8 bytes, a JSON header of that length, the tensors'
 * bytes. The header is checked in full before anything is mapped. Nothing is read until it is touched.
 */
public final class Safetensors implements WeightSource {

    private final Path path;
    private final SafetensorsHeader header;
    private final String headerHash;
    private final Arena arena;
    private final MemorySegment data;
    private final Map<String, Tensor> tensors = new HashMap<>();
    private boolean closed;

    private Safetensors(Path path, SafetensorsHeader header, String headerHash, Arena arena, MemorySegment data) {
        this.path = path;
        this.header = header;
        this.headerHash = headerHash;
        this.arena = arena;
        this.data = data;
    }

    /**
     * Opens and checks a file.
     *
     * @throws ModelException if it cannot be read or is not a well-formed safetensors file
     */
    public static Safetensors open(Path file) {
        try (FileChannel channel = FileOpening.open(file)) {
            long size = channel.size();
            byte[] json = readHeader(file, channel, size);
            long dataStart = Long.BYTES + (long) json.length;
            SafetensorsHeader header = SafetensorsHeader.parse(file.toString(), json, size - dataStart);
            Arena arena = Arena.ofShared();
            try {
                MemorySegment data = channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena).asSlice(dataStart);
                return new Safetensors(file, header, sha256(json), arena, data);
            } catch (Throwable e) {
                arena.close();
                throw e;
            }
        } catch (IOException e) {
            throw FileOpening.failure(file, e);
        }
    }

    private static byte[] readHeader(Path file, FileChannel channel, long size) throws IOException {
        if (size == 0) {
            throw new ModelException(file + " is empty; download it again");
        }
        byte[] prefix = read(file, channel, 0, (int) Math.min(size, ForeignFormat.PREFIX_BYTES));
        String foreign = ForeignFormat.of(prefix);
        if (foreign != null) {
            throw new ModelException(file + " " + foreign);
        }
        if (size < Long.BYTES) {
            throw new ModelException(file + " is truncated: it has " + size
                    + " bytes, a safetensors file at least 8; download it again");
        }
        long length = ByteBuffer.wrap(prefix).order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (length < 0 || length > SafetensorsHeader.MAX_BYTES) {
            throw new ModelException(file + " is not a safetensors file: its first 8 bytes give a header of "
                    + Long.toUnsignedString(length) + " bytes, at most " + SafetensorsHeader.MAX_BYTES
                    + " are allowed; check what was downloaded");
        }
        if (prefix.length > Long.BYTES && prefix[Long.BYTES] != '{') {
            throw new ModelException(file
                    + " is not a safetensors file: its header does not begin with '{'; check what was downloaded");
        }
        if (length > size - Long.BYTES) {
            throw new ModelException(file + " is truncated: its header has " + length + " bytes, the file " + size
                    + "; download it again");
        }
        return read(file, channel, Long.BYTES, (int) length);
    }

    private static byte[] read(Path file, FileChannel channel, long position, int count) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(count);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, position + buffer.position()) < 0) {
                throw new ModelException(file + " became shorter while it was read; wait until its download has finished");
            }
        }
        return buffer.array();
    }

    static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    public Path path() {
        return path;
    }

    /** The header's {@code __metadata__}; empty if there is none. */
    public Map<String, String> metadata() {
        return header.metadata();
    }

    @Override
    public Set<String> names() {
        return header.entries().keySet();
    }

    public DType dtype(String name) {
        return entry(name).dtype();
    }

    public Shape shape(String name) {
        return entry(name).shape();
    }

    /** Bytes a tensor occupies. */
    public long sizeBytes(String name) {
        return entry(name).bytes();
    }

    /** Bytes of all tensors together. */
    public long dataBytes() {
        return data.byteSize();
    }

    private SafetensorsHeader.Entry entry(String name) {
        SafetensorsHeader.Entry entry = header.entries().get(name);
        if (entry == null) {
            throw new ModelException(path + ": no tensor " + Text.quote(name));
        }
        return entry;
    }

    @Override
    public synchronized Tensor tensor(String name) {
        SafetensorsHeader.Entry entry = entry(name);
        if (closed) {
            throw new IllegalStateException(path + " is closed");
        }
        return tensors.computeIfAbsent(name, key -> Tensor.of(key, entry.dtype(), entry.shape(),
                new HostStorage(data.asSlice(entry.begin(), entry.bytes()))));
    }

    @Override
    public Path file(String name) {
        entry(name);
        return path;
    }

    @Override
    public String describe() {
        return path.toString();
    }

    @Override
    public List<Path> files() {
        return List.of(path);
    }

    @Override
    public String headerHash() {
        return headerHash;
    }

    /** Unmaps the file. Its tensors may not be used any more. */
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            tensors.values().forEach(tensor -> ((HostStorage) tensor.storage()).free("closing " + path));
            arena.close();
        }
    }

    @Override
    public String toString() {
        return "Safetensors[" + path + ", " + names().size() + " tensors, " + Text.bytes(dataBytes()) + "]";
    }
}
