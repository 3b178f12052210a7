package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsWriterTest {

    @TempDir
    Path folder;

    private static Declaration declare(String name, DType dtype, long... dims) {
        return new Declaration(name, dtype, new Shape(dims));
    }

    private void assertFolderHolds(String... names) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(names), files.map(file -> file.getFileName().toString()).sorted().toList());
        }
    }

    @Test
    void everyTypeSurvivesTheRoundTrip() throws IOException {
        Path file = folder.resolve("all.safetensors");
        List<Declaration> declarations = new ArrayList<>();
        Map<String, byte[]> contents = new HashMap<>();
        Random random = new Random(1);
        for (DType dtype : DType.values()) {
            Declaration declaration = declare("t \"" + dtype + "\" \u00e9\ud83d\ude00", dtype, 3, 8);
            byte[] bytes = new byte[(int) declaration.bytes()];
            random.nextBytes(bytes);
            declarations.add(declaration);
            contents.put(declaration.name(), bytes);
        }
        Map<String, String> metadata = Map.of("format", "pt", "quote\"", "line\nbreak");
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, declarations, metadata)) {
            for (Declaration declaration : declarations) {
                byte[] bytes = contents.get(declaration.name());
                writer.write(declaration.name(), MemorySegment.ofArray(bytes).asSlice(0, 1));
                writer.write(declaration.name(), MemorySegment.ofArray(bytes).asSlice(1));
            }
            writer.commit();
        }
        assertFolderHolds("all.safetensors");
        assertEquals(0, ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN).getLong() % 8);
        try (Safetensors weights = Safetensors.open(file)) {
            assertEquals(metadata, weights.metadata());
            assertEquals(declarations.stream().map(Declaration::name).toList(), List.copyOf(weights.names()));
            contents.forEach((name, bytes) -> assertArrayEquals(bytes,
                    ((HostStorage) weights.tensor(name).storage()).segment().toArray(ValueLayout.JAVA_BYTE), name));
        }
    }

    @Test
    void floatsAndFillersAreWrittenInPieces() {
        int count = 700_001;
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = i * 0.5f - 7;
        }
        Path file = folder.resolve("f.safetensors");
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(declare("empty", DType.F32, 0),
                declare("floats", DType.F32, count),
                declare("bytes", DType.U8, 3, count), declare("none", DType.BF16, 4, 0)), Map.of())) {
            writer.write("floats", Arrays.copyOf(values, 10));
            writer.write("floats", Arrays.copyOfRange(values, 10, count));
            writer.write("bytes", (offset, chunk) -> {
                for (long i = 0; i < chunk.byteSize(); i++) {
                    chunk.set(ValueLayout.JAVA_BYTE, i, (byte) ((offset + i) % 251));
                }
            });
            writer.commit();
        }
        try (Safetensors weights = Safetensors.open(file)) {
            assertArrayEquals(values, weights.tensor("floats").toHost().values());
            float[] bytes = weights.tensor("bytes").toHost().values();
            for (int i = 0; i < bytes.length; i++) {
                assertEquals(i % 251, bytes[i], "at " + i);
            }
            assertEquals(Map.of(), weights.metadata());
        }
    }

    @Test
    void nothingRemainsOfAFileThatWasNotCommitted() throws IOException {
        Path file = Files.writeString(folder.resolve("f.safetensors"), "before");
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(declare("a", DType.F32, 4)), Map.of())) {
            writer.write("a", new float[2]);
            assertTrue(assertThrows(IllegalStateException.class, writer::commit).getMessage().contains("a: 8 of 16 bytes"));
        }
        assertFolderHolds("f.safetensors");
        assertEquals("before", Files.readString(file));
    }

    @Test
    void tensorsMustComeInOrderAndNoLongerThanDeclared() {
        Path file = folder.resolve("f.safetensors");
        try (SafetensorsWriter writer = SafetensorsWriter.create(file,
                List.of(declare("a", DType.F32, 1), declare("b", DType.BF16, 1)), Map.of())) {
            assertThrows(IllegalStateException.class, () -> writer.write("b", new float[1]));
            assertThrows(IllegalStateException.class, () -> writer.write("a", new float[2]));
            writer.write("a", new float[1]);
            assertThrows(IllegalStateException.class, () -> writer.write("a", new float[1]));
            assertThrows(IllegalArgumentException.class, () -> writer.write("b", new float[1]));
            writer.write("b", MemorySegment.ofArray(new byte[2]));
            assertThrows(IllegalStateException.class, () -> writer.write("b", new float[1]));
            writer.commit();
            assertThrows(IllegalStateException.class, writer::commit);
        }
    }

    @Test
    void whatTheFormatCannotExpressIsRefusedAtOnce() throws IOException {
        for (Declaration wrong : List.of(declare("__metadata__", DType.U8, 1), declare("x", DType.F4, 1), declare("x",
                DType.F64, Long.MAX_VALUE),
                declare("a", DType.U8, 1), declare("x", DType.U8, new long[17]))) {
            assertThrows(IllegalArgumentException.class, () -> SafetensorsWriter.create(folder.resolve("f"),
                    List.of(declare("a", DType.U8, 1), wrong), Map.of()), wrong.toString());
        }
        assertFolderHolds();
    }

    @Test
    void missingSpaceIsToldBeforeWriting() throws IOException {
        String message = assertThrows(ModelException.class, () -> SafetensorsWriter.create(folder.resolve("f"),
                List.of(declare("a", DType.U8, 1L << 59)), Map.of())).getMessage();
        assertTrue(message.contains("are missing; free space"), message);
        assertFolderHolds();
    }

    @Test
    void failingDiskGivesTheSpaceNeededAndLeavesNothing() throws IOException {
        Path file = folder.resolve("f");
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(declare("a", DType.F32, 4)), Map.of())) {
            // An interrupted thread cannot use a file channel: the write fails as it does on a full disk.
            Thread.currentThread().interrupt();
            String message = assertThrows(ModelException.class, () -> writer.write("a", new float[4])).getMessage();
            assertTrue(Thread.interrupted());
            assertTrue(message.startsWith(file + " could not be written") && message.contains(" bytes, ")
                    && message.contains("are free in"), message);
            assertFolderHolds();
            assertThrows(IllegalStateException.class, () -> writer.write("a", new float[4]));
        }
    }

    @Test
    void failingFillerLeavesNothing() throws IOException {
        try (SafetensorsWriter writer = SafetensorsWriter.create(folder.resolve("f"), List.of(declare("a", DType.U8,
                4)), Map.of())) {
            assertThrows(ArithmeticException.class, () -> writer.write("a", (offset, chunk) -> {
                throw new ArithmeticException("filler");
            }));
            assertFolderHolds();
        }
    }

    @Test
    void badTargetsAreNamed() {
        List<Declaration> one = List.of(declare("a", DType.U8, 1));
        assertTrue(assertThrows(ModelException.class, () -> SafetensorsWriter.create(folder, one,
                Map.of())).getMessage().contains("is a folder"));
        String message = assertThrows(ModelException.class, () -> SafetensorsWriter.create(folder.resolve("no/f"),
                one, Map.of())).getMessage();
        assertTrue(message.contains("its folder does not exist"), message);
        assertFalse(Files.exists(folder.resolve("no")));
    }
}
