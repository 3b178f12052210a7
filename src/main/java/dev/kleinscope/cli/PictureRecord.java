package dev.kleinscope.cli;

import dev.kleinscope.pipeline.ImageFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * What a PNG that generate wrote records of its making.
 *
 * @param prompt or null
 * @param embeds file of embeddings, or null
 * @param seed of the noise
 * @param model as an absolute path or a hub name
 * @param weights fingerprint by component
 * @param backend by name
 * @param compat whose rounding the run took over, or null
 * @param gemm what multiplied matrices on the cpu backend, or null
 * @param precision of the arithmetic, or null
 * @param steps of the run
 * @param guidance of the run
 * @param distilled whether the model was taken as distilled
 * @param maxTokens padded prompt length
 * @param size of the picture
 * @param noise generator, or null where latents were given
 * @param noiseType element type of the noise, or null where latents were given
 * @param multiprocessors of the GPU imitated, or null
 * @param latents file of the noise, or null
 * @param images reference images
 * @param interventions what was changed of the activations, in order
 */
record PictureRecord(String prompt, String embeds, long seed, String model, Map<String, String> weights, String backend, String compat,
        String gemm, String precision, int steps, double guidance, boolean distilled, int maxTokens, PictureSize size, String noise, String noiseType, Integer multiprocessors, String latents,
        List<String> images, List<String> interventions) {

    static final String SCHEMA = "kleinscope.picture/1";

    /** @throws UserInputException if the image records nothing, or something else */
    static PictureRecord read(Path image) {
        String text = ImageFile.readPngText(image).get("kleinscope");
        if (text == null) {
            throw new UserInputException(image + " records nothing of its making; only PNG files that generate wrote do");
        }
        try {
            JsonNode json = new ObjectMapper().readTree(text);
            if (!json.path("schema").asString("").equals(SCHEMA)) {
                throw new UserInputException(image + " records its making in another form (" + json.path("schema") + "); expected " + SCHEMA);
            }
            List<String> images = new ArrayList<>();
            json.path("images").forEach(entry -> images.add(word(image, "images", entry)));
            List<String> interventions = new ArrayList<>();
            json.path("interventions").forEach(entry -> interventions.add(word(image, "interventions", entry)));
            return new PictureRecord(optional(json, "prompt"), optional(json, "embeds"), json.required("seed").longValue(),
                    word(image, "model", json.required("model")), weights(json.required("weights")), word(image, "backend_name", json.required("backend_name")),
                    optional(json, "compat"), optional(json, "gemm"), optional(json, "precision"), json.required("steps").intValue(), json.required("guidance").doubleValue(), json.required("distilled").booleanValue(),
                    json.required("max_tokens").intValue(), new PictureSize.Converter().convert(word(image, "size", json.required("size"))),
                    optional(json, "noise"), optional(json, "noise_type"), json.has("noise_sms") ? json.path("noise_sms").intValue() : null, optional(json, "latents"), images, interventions);
        } catch (JacksonException | picocli.CommandLine.TypeConversionException e) {
            throw new UserInputException(image + ": its record is damaged (" + e.getMessage().lines().findFirst().orElse("") + ")");
        }
    }

    /** Fingerprint by component, of what {@code Klein.identity} tells. */
    static Map<String, String> fingerprints(Map<String, Object> identity) {
        return weights(new ObjectMapper().valueToTree(identity));
    }

    private static Map<String, String> weights(JsonNode json) {
        Map<String, String> weights = new TreeMap<>();
        json.properties().forEach(entry -> weights.put(entry.getKey(), entry.getValue().path("fingerprint").asString("")));
        return weights;
    }

    private static String word(Path image, String name, JsonNode value) {
        if (!value.isString()) {
            throw new UserInputException(image + ": its record is damaged (" + name + ": expected text, found " + value.getNodeType() + ")");
        }
        return value.stringValue();
    }

    private static String optional(JsonNode json, String name) {
        return json.path(name).isString() ? json.path(name).stringValue() : null;
    }
}
