package dev.kleinscope.weights;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Writes safetensors files byte by byte, right or wrong, independently of the product's own writer. */
final class HostileFile {

    private final List<String> members = new ArrayList<>();
    private long end;

    /** Adds an entry that follows the previous one. */
    HostileFile tensor(String name, String dtype, String shape, long bytes) {
        return tensor(name, dtype, shape, end, end + bytes);
    }

    /** Adds an entry at any offsets. */
    HostileFile tensor(String name, String dtype, String shape, long from, long to) {
        end = Math.max(end, to);
        return member("\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":["
                + from + "," + to + "]}");
    }

    /** Adds raw text to the header's object. */
    HostileFile member(String json) {
        members.add(json);
        return this;
    }

    String header() {
        return "{" + String.join(",", members) + "}";
    }

    /** Writes the header, then as many bytes as the entries promise, counting up from 0. */
    Path write(Path file) {
        byte[] data = new byte[Math.toIntExact(end)];
        for (int i = 0; i < data.length; i++) {
            data[i] = (byte) i;
        }
        return raw(file, header(), data);
    }

    /** Writes the header, then a hole of the size that the entries promise. */
    Path writeSparse(Path file) throws IOException {
        byte[] json = header().getBytes(StandardCharsets.UTF_8);
        Files.write(file, framed(json, new byte[0]));
        try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
            access.setLength(8 + json.length + end);
        }
        return file;
    }

    /** Writes a header, whatever it is, under its true length. */
    static Path raw(Path file, String header, byte[] data) {
        return write(file, framed(header.getBytes(StandardCharsets.UTF_8), data));
    }

    static Path write(Path file, byte[] bytes) {
        try {
            return Files.write(file, bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static byte[] framed(byte[] header, byte[] data) {
        return ByteBuffer.allocate(8 + header.length + data.length).order(ByteOrder.LITTLE_ENDIAN)
                .putLong(header.length).put(header).put(data).array();
    }
}
