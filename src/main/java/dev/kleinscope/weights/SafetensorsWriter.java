package dev.kleinscope.weights;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import java.io.IOException;
import java.io.StringWriter;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/**
 * Writes a safetensors file as a stream, in the order in which its tensors were declared. The file appears under its name,
 * whole, at {@link #commit}; until then the bytes go to a hidden file beside it, which any failure deletes. For one thread.
 */
public final class SafetensorsWriter implements AutoCloseable {

    private static final int CHUNK_BYTES = 1 << 20;
    private static final int ALIGNMENT = 8;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** A tensor to be written. */
    public record Declaration(String name, DType dtype, Shape shape) {

        /** Bytes it occupies. @throws ArithmeticException if they overflow or are not whole */
        public long bytes() {
            return dtype.bytes(shape.elements());
        }
    }

    /** Supplies a tensor's bytes, little-endian, a piece at a time. */
    @FunctionalInterface
    public interface Filler {
        /**
         * Fills {@code chunk} to its end.
         *
         * @param offset where the chunk begins, in bytes from the tensor's first; a multiple of a mebibyte
         */
        void fill(long offset, MemorySegment chunk);
    }

    private final Path target;
    private final Path temporary;
    private final FileChannel channel;
    private final List<Declaration> declarations;
    private final long fileBytes;
    private final ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES);
    /** Index of the tensor whose turn it is, and how many of its bytes are written. */
    private int current;
    private long written;
    private boolean done;

    private SafetensorsWriter(Path target, Path temporary, FileChannel channel, List<Declaration> declarations,
            long fileBytes) {
        this.target = target;
        this.temporary = temporary;
        this.channel = channel;
        this.declarations = declarations;
        this.fileBytes = fileBytes;
    }

    /**
     * Begins a file.
     *
     * @param target where it will appear, replacing what is there; its folder must exist
     * @param declarations all tensors, in the order in which they will be written
     * @param metadata goes to the header's {@code __metadata__}, sorted by key
     * @throws IllegalArgumentException if a name is declared twice, or the format cannot express a declaration
     * @throws ModelException if the folder cannot be written to or has too little space
     */
    public static SafetensorsWriter create(Path target, List<Declaration> declarations, Map<String, String> metadata) {
        byte[] header = header(declarations, metadata);
        long fileBytes = Long.BYTES + (long) header.length;
        for (Declaration declaration : declarations) {
            fileBytes = Math.addExact(fileBytes, declaration.bytes());
        }
        if (Files.isDirectory(target)) {
            throw new ModelException(target + " is a folder; give the name of a file to write");
        }
        Path absolute = target.toAbsolutePath();
        Path temporary = absolute.resolveSibling("." + absolute.getFileName() + "." + UUID.randomUUID() + ".tmp");
        checkSpace(target, absolute.getParent(), fileBytes);
        FileChannel channel;
        try {
            channel = FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw notWritable(target, e);
        }
        // An interrupt from the keyboard runs no finally block, and the file may be gigabytes long.
        temporary.toFile().deleteOnExit();
        SafetensorsWriter writer = new SafetensorsWriter(target, temporary, channel, List.copyOf(declarations), fileBytes);
        writer.guarded(() -> {
            writer.put(ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).flip());
            writer.put(ByteBuffer.wrap(header));
        });
        writer.advance(0);
        return writer;
    }

    private static byte[] header(List<Declaration> declarations, Map<String, String> metadata) {
        if (declarations.size() > SafetensorsHeader.MAX_TENSORS) {
            throw new IllegalArgumentException(declarations.size() + " tensors, at most "
                    + SafetensorsHeader.MAX_TENSORS + " fit");
        }
        StringWriter text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(ObjectWriteContext.empty(), text)) {
            json.writeStartObject();
            if (!metadata.isEmpty()) {
                json.writeName(SafetensorsHeader.METADATA).writeStartObject();
                new TreeMap<>(metadata).forEach(json::writeStringProperty);
                json.writeEndObject();
            }
            Set<String> names = new HashSet<>(Set.of(SafetensorsHeader.METADATA));
            long begin = 0;
            for (Declaration declaration : declarations) {
                if (!names.add(declaration.name()) || declaration.name().length() > SafetensorsHeader.MAX_NAME
                        || declaration.shape().rank() > SafetensorsHeader.MAX_RANK) {
                    throw new IllegalArgumentException(Text.quote(declaration.name()) + declaration.shape()
                            + ": the name is taken or too long, or there are too many dimensions");
                }
                long end = Math.addExact(begin, declaration.bytes());
                json.writeName(declaration.name()).writeStartObject().writeStringProperty("dtype",
                        declaration.dtype().name());
                json.writeName("shape").writeArray(declaration.shape().dims(), 0, declaration.shape().rank());
                json.writeName("data_offsets").writeArray(new long[] {begin, end}, 0, 2).writeEndObject();
                begin = end;
            }
            json.writeEndObject();
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException("a tensor's size overflows or does not fill whole bytes: "
                    + e.getMessage(), e);
        }
        byte[] bytes = text.toString().getBytes(StandardCharsets.UTF_8);
        int padded = Math.ceilDiv(bytes.length, ALIGNMENT) * ALIGNMENT;
        if (padded > SafetensorsHeader.MAX_BYTES) {
            throw new IllegalArgumentException("a header of " + padded + " bytes, at most "
                    + SafetensorsHeader.MAX_BYTES + " fit");
        }
        byte[] result = Arrays.copyOf(bytes, padded);
        Arrays.fill(result, bytes.length, padded, (byte) ' ');
        return result;
    }

    /**
     * Writes the next bytes, little-endian, of a tensor; a tensor may come in several pieces.
     *
     * @param bytes native, mapped, or over a {@code byte[]}
     * @throws IllegalStateException if it is another tensor's turn, or more comes than was declared
     * @throws ModelException if the disk is full or fails; the file is then abandoned
     */
    public void write(String name, MemorySegment bytes) {
        begin(name, bytes.byteSize());
        guarded(() -> {
            for (long offset = 0; offset < bytes.byteSize(); offset += CHUNK_BYTES) {
                put(bytes.asSlice(offset, Math.min(CHUNK_BYTES, bytes.byteSize() - offset)).asByteBuffer());
            }
        });
        advance(bytes.byteSize());
    }

    /** As {@link #write(String, MemorySegment)}, for the next values of a tensor declared as F32. */
    public void write(String name, float[] values) {
        if (declared(name).dtype() != DType.F32) {
            throw new IllegalArgumentException(name + " was declared " + declared(name).dtype() + ", floats are F32");
        }
        begin(name, 4L * values.length);
        guarded(() -> {
            int most = CHUNK_BYTES / Float.BYTES;
            for (int from = 0; from < values.length; from += most) {
                int count = Math.min(most, values.length - from);
                MemorySegment.copy(values, from, MemorySegment.ofBuffer(chunk.clear()), FLOAT, 0, count);
                put(chunk.limit(count * Float.BYTES));
            }
        });
        advance(4L * values.length);
    }

    /** Writes a whole tensor, as {@code filler} supplies it. */
    public void write(String name, Filler filler) {
        long size = declared(name).bytes();
        begin(name, size);
        guarded(() -> {
            for (long offset = 0; offset < size; offset += CHUNK_BYTES) {
                int count = (int) Math.min(CHUNK_BYTES, size - offset);
                filler.fill(offset, MemorySegment.ofBuffer(chunk.clear().limit(count)));
                put(chunk);
            }
        });
        advance(size);
    }

    /**
     * Makes the file durable and gives it its name.
     *
     * @throws IllegalStateException if a tensor is incomplete
     * @throws ModelException if the disk fails
     */
    public void commit() {
        if (done) {
            throw new IllegalStateException(target + " was committed or abandoned before");
        }
        if (current < declarations.size()) {
            Declaration missing = declarations.get(current);
            throw new IllegalStateException(missing.name() + ": " + written + " of " + missing.bytes()
                    + " bytes were written to " + target);
        }
        guarded(() -> {
            channel.force(true);
            channel.close();
            Files.move(temporary, target.toAbsolutePath(), StandardCopyOption.ATOMIC_MOVE);
        });
        done = true;
    }

    /** Abandons the file unless it was committed. */
    @Override
    public void close() {
        if (!done) {
            abandon();
        }
    }

    private void abandon() {
        done = true;
        try {
            channel.close();
        } catch (IOException e) {
            // What is to be deleted need not be flushed.
        }
        temporary.toFile().delete();
    }

    private Declaration declared(String name) {
        if (done) {
            throw new IllegalStateException(target + " was committed or abandoned before " + name);
        }
        if (current == declarations.size() || !declarations.get(current).name().equals(name)) {
            throw new IllegalStateException(name + " is not the next tensor of " + target + ", expected "
                    + (current == declarations.size() ? "no more" : declarations.get(current).name()));
        }
        return declarations.get(current);
    }

    private void begin(String name, long more) {
        long size = declared(name).bytes();
        if (more > size - written) {
            throw new IllegalStateException(name + ": " + more + " bytes follow " + written
                    + ", but it was declared with " + size);
        }
    }

    /** Counts bytes as written and passes over tensors that are complete. */
    private void advance(long bytes) {
        written += bytes;
        while (current < declarations.size() && written == declarations.get(current).bytes()) {
            current++;
            written = 0;
        }
    }

    private void put(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    @FunctionalInterface
    private interface Step {
        void run() throws IOException;
    }

    /** Whatever goes wrong on the way, nothing half-written stays. */
    private void guarded(Step step) {
        try {
            step.run();
        } catch (IOException e) {
            abandon();
            throw new ModelException(target + " could not be written (" + FileOpening.reason(e) + "): it takes "
                    + Text.bytes(fileBytes)
                    + ", " + available(temporary.getParent()) + "; free space or give another folder", e);
        } catch (RuntimeException | Error e) {
            abandon();
            throw e;
        }
    }

    private static void checkSpace(Path target, Path folder, long needed) {
        long usable;
        try {
            usable = Files.getFileStore(folder).getUsableSpace();
        } catch (IOException e) {
            throw notWritable(target, e);
        }
        if (usable < needed) {
            throw new ModelException(target + " takes " + Text.bytes(needed) + ", but only " + Text.bytes(usable)
                    + " are free in "
                    + folder + ": " + Text.bytes(needed - usable) + " are missing; free space or give another folder");
        }
    }

    private static String available(Path folder) {
        try {
            return Text.bytes(Files.getFileStore(folder).getUsableSpace()) + " are free in " + folder;
        } catch (IOException e) {
            return "and how much is free in " + folder + " cannot be told";
        }
    }

    private static ModelException notWritable(Path target, IOException e) {
        String reason = switch (e) {
            case NoSuchFileException missing -> "its folder does not exist";
            case AccessDeniedException denied -> "its folder may not be written to";
            default -> FileOpening.reason(e);
        };
        return new ModelException(target + " could not be created: " + reason + "; give another path", e);
    }
}
