package dev.kleinscope.pipeline;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** Test resources as files, JSON and tensors. */
final class Resources {

    private Resources() {
    }

    static Path path(String name) {
        try {
            return Path.of(Resources.class.getResource("/" + name).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalArgumentException(name, e);
        }
    }

    static JsonNode json(String name) {
        return new ObjectMapper().readTree(path(name));
    }

    /** One f32 tensor of a safetensors file. */
    static float[] tensor(String file, String tensor) {
        try {
            ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(path(file))).order(ByteOrder.LITTLE_ENDIAN);
            int headerBytes = (int) bytes.getLong(0);
            JsonNode offsets = new ObjectMapper().readTree(new String(bytes.array(), 8, headerBytes, StandardCharsets.UTF_8))
                    .get(tensor).get("data_offsets");
            int from = offsets.get(0).asInt();
            float[] values = new float[(offsets.get(1).asInt() - from) / 4];
            bytes.slice(8 + headerBytes + from, 4 * values.length).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
            return values;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static long crc32(Image8 image) {
        CRC32 crc = new CRC32();
        crc.update(image.rgb());
        return crc.getValue();
    }
}
