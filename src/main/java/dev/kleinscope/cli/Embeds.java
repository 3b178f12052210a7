package dev.kleinscope.cli;

import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.SafetensorsWriter;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Prompt embeddings kept in a safetensors file: {@code prompt_embeds} [1, tokens, 3 * hidden], F32, and the prompt in the
 * metadata.
 *
 * @param prompt as it was encoded; null if the file does not tell
 * @param values the embeddings
 */
record Embeds(String prompt, HostTensor values) {

    private static final String NAME = "prompt_embeds";

    static void write(Path file, Prompt prompt, HostTensor values, Map<String, String> metadata) {
        Map<String, String> all = new LinkedHashMap<>(metadata);
        all.put("kind", "inputs");
        all.put("prompt", prompt.text());
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(new Declaration(NAME, DType.F32, values.shape())), all)) {
            writer.write(NAME, values.values());
            writer.commit();
        }
    }

    /** @throws UserInputException if the file holds no embeddings that the model takes */
    static Embeds read(Path file, Klein klein) {
        try (Safetensors source = Safetensors.open(file)) {
            if (!source.contains(NAME)) {
                throw new UserInputException(file + ": no tensor " + NAME + "; the encode command writes such files");
            }
            Shape shape = source.tensor(NAME).shape();
            long width = klein.ditConfig().textDim();
            if (shape.rank() != 3 || shape.dim(0) != 1 || shape.dim(1) < 1 || shape.dim(1) > 4096 || shape.dim(2) != width) {
                throw new UserInputException(file + ": " + NAME + ": expected [1, 1..4096, " + width + "], found " + shape);
            }
            HostTensor values = source.tensor(NAME).toHost();
            for (float value : values.values()) {
                if (!Float.isFinite(value)) {
                    throw new UserInputException(file + ": " + NAME + " holds values that are not finite; encode the prompt again");
                }
            }
            return new Embeds(source.metadata().get("prompt"), values);
        }
    }
}
