package dev.kleinscope.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** JSON files of a model folder. */
final class JsonFile {

    static final int MAX_BYTES = 10_000_000;

    private static final JsonMapper MAPPER = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(32).build())
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private JsonFile() {
    }

    /** The object that a file holds. @throws ModelException if it cannot be read, exceeds 10 MB or holds something else */
    static JsonNode read(Path file) {
        byte[] bytes = bytes(file);
        try {
            // Through a string, so that the encoding is checked and not guessed.
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            JsonNode node = MAPPER.readTree(text);
            if (!node.isObject()) {
                throw new ModelException(file + ": expected a JSON object, found "
                        + (node.isMissingNode() ? "nothing" : node.getNodeType()) + "; download it again");
            }
            return node;
        } catch (CharacterCodingException e) {
            throw new ModelException(file + " is not valid UTF-8; download it again", e);
        } catch (JacksonException e) {
            throw new ModelException(file + " is not valid JSON (" + Text.quote(said(e)) + "); download it again", e);
        }
    }

    /** The first sentence of what the parser says, without the advice to its caller, and where. */
    private static String said(JacksonException e) {
        String message = String.valueOf(e.getOriginalMessage()).split(": enable `|: expected close marker", 2)[0];
        return e.getLocation() == null ? message
                : message + " at line " + e.getLocation().getLineNr() + ", column " + e.getLocation().getColumnNr();
    }

    private static byte[] bytes(Path file) {
        try (FileChannel channel = FileOpening.open(file)) {
            long size = channel.size();
            if (size > MAX_BYTES) {
                throw new ModelException(file + " has " + Text.bytes(size) + ", expected JSON of at most "
                        + Text.bytes(MAX_BYTES)
                        + "; check that it is the right file");
            }
            ByteBuffer buffer = ByteBuffer.allocate((int) size);
            while (buffer.hasRemaining() && channel.read(buffer) >= 0) {
                continue;
            }
            byte[] bytes = Arrays.copyOf(buffer.array(), buffer.position());
            String foreign = ForeignFormat.of(Arrays.copyOf(bytes, Math.min(bytes.length, ForeignFormat.PREFIX_BYTES)));
            if (foreign != null) {
                throw new ModelException(file + " " + foreign);
            }
            return bytes;
        } catch (IOException e) {
            throw FileOpening.failure(file, e);
        }
    }
}
