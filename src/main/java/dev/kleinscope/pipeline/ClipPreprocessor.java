package dev.kleinscope.pipeline;

import dev.kleinscope.weights.ModelComponent;
import dev.kleinscope.weights.ModelException;
import tools.jackson.databind.JsonNode;

/**
 * Reads how CLIP's images are prepared, from {@code preprocessor_config.json}, or from the {@code image_processor} of a
 * newer {@code processor_config.json}. What these leave out has transformers' defaults.
 * Source: transformers {@code CLIPImageProcessor}.
 */
final class ClipPreprocessor {

    static final String FILE = "preprocessor_config.json";
    static final String NEWER_FILE = "processor_config.json";

    private static final int BICUBIC = 3;
    private static final int DEFAULT_SIZE = 224;
    private static final float[] MEAN = {0.48145466f, 0.4578275f, 0.40821073f};
    private static final float[] STD = {0.26862954f, 0.26130258f, 0.27577711f};

    private final String where;
    private final JsonNode json;

    private ClipPreprocessor(String where, JsonNode json) {
        this.where = where;
        this.json = json;
    }

    /** Whether a folder says how images are prepared. */
    static boolean in(ModelComponent clip) {
        return find(clip) != null;
    }

    /** @throws ModelException if the folder does not say, or says something that is not supported */
    static ClipPixels read(ModelComponent clip) {
        ClipPreprocessor found = find(clip);
        if (found == null) {
            throw new ModelException(clip.location() + ": no " + FILE + ", which says how CLIP's images are prepared; download the"
                    + " model again, with it");
        }
        return found.pixels();
    }

    private static ClipPreprocessor find(ModelComponent clip) {
        JsonNode newer = clip.json(NEWER_FILE);
        if (newer != null && newer.path("image_processor").isObject()) {
            return new ClipPreprocessor(clip.location().resolve(NEWER_FILE) + ": image_processor", newer.get("image_processor"));
        }
        JsonNode json = clip.json(FILE);
        return json == null ? null : new ClipPreprocessor(clip.location().resolve(FILE).toString(), json);
    }

    private ClipPixels pixels() {
        requireClip("image_processor_type");
        requireClip("feature_extractor_type");
        for (String step : new String[] {"do_resize", "do_center_crop", "do_rescale", "do_normalize"}) {
            JsonNode value = json.path(step);
            if (!absent(value) && !(value.isBoolean() && value.booleanValue())) {
                throw refusal(step, "true", value);
            }
        }
        JsonNode resample = json.path("resample");
        if (!absent(resample) && !(resample.isInt() && resample.intValue() == BICUBIC)) {
            throw refusal("resample", "3, bicubic", resample);
        }
        JsonNode factor = json.path("rescale_factor");
        if (!absent(factor) && !(factor.isNumber() && Math.abs(factor.asDouble() * 255 - 1) < 1e-9)) {
            throw refusal("rescale_factor", "1/255", factor);
        }
        JsonNode crop = json.path("crop_size");
        int cropWidth = crop.isObject() ? side("crop_size.width", crop.path("width")) : side("crop_size", crop);
        int cropHeight = crop.isObject() ? side("crop_size.height", crop.path("height")) : side("crop_size", crop);
        try {
            return new ClipPixels(shortestEdge(), cropWidth, cropHeight, three("image_mean", MEAN), three("image_std", STD));
        } catch (IllegalArgumentException e) {
            throw new ModelException(where + ": " + e.getMessage(), e);
        }
    }

    private int shortestEdge() {
        JsonNode size = json.path("size");
        if (!size.isObject()) {
            return side("size", size);
        }
        if (size.size() != 1 || !size.has("shortest_edge")) {
            throw refusal("size", "{\"shortest_edge\": pixels}", size);
        }
        return side("size.shortest_edge", size.get("shortest_edge"));
    }

    private int side(String name, JsonNode node) {
        if (name.indexOf('.') < 0 && absent(node)) {
            return DEFAULT_SIZE;
        }
        if (!node.isInt() || node.intValue() < 1 || node.intValue() > Image8.MAX_SIDE) {
            throw refusal(name, "a number of pixels", node);
        }
        return node.intValue();
    }

    private float[] three(String name, float[] standard) {
        JsonNode node = json.path(name);
        if (absent(node)) {
            return standard;
        }
        if (!node.isArray() || node.size() != 3) {
            throw refusal(name, "three numbers", node);
        }
        float[] values = new float[3];
        for (int i = 0; i < 3; i++) {
            if (!node.get(i).isNumber()) {
                throw refusal(name, "three numbers", node);
            }
            values[i] = (float) node.get(i).asDouble();
        }
        return values;
    }

    /** Another class has other defaults and other steps. */
    private void requireClip(String name) {
        JsonNode type = json.path(name);
        if (!absent(type) && !type.asString("").startsWith("CLIP")) {
            throw refusal(name, "CLIPImageProcessor", type);
        }
    }

    private ModelException refusal(String name, String expected, JsonNode found) {
        String text = found.isMissingNode() ? "nothing" : found.toString();
        return new ModelException(where + ": " + name + ": expected " + expected + ", found "
                + (text.length() > 60 ? text.substring(0, 60) + "..." : text) + "; other preparation of CLIP's images is not supported");
    }

    private static boolean absent(JsonNode node) {
        return node.isMissingNode() || node.isNull();
    }
}
