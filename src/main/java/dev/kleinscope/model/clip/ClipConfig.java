package dev.kleinscope.model.clip;

import dev.kleinscope.ops.Gelu;
import dev.kleinscope.weights.ModelException;
import tools.jackson.databind.JsonNode;

/**
 * Sizes of a CLIP model. Source: transformers {@code CLIPConfig}, {@code CLIPTextConfig}, {@code CLIPVisionConfig}.
 *
 * @param text the text tower
 * @param vocabulary rows of the token embedding
 * @param maxPositions most tokens of a text
 * @param eosTokenId which id ends a text; {@link #LEGACY_EOS} stands for the largest id of the text
 * @param vision the vision tower
 * @param imageSize side of the images in pixels
 * @param patchSize side of a patch in pixels; pixels beyond the last whole patch take no part
 * @param projection channels of the embeddings
 */
public record ClipConfig(Tower text, long vocabulary, int maxPositions, int eosTokenId, Tower vision, int imageSize,
        int patchSize, long projection) {

    /**
     * The {@code eos_token_id} of the configurations published first, which is wrong: their texts end with the
     * vocabulary's last id. transformers reads it as a sign to look for the largest id instead.
     */
    public static final int LEGACY_EOS = 2;

    private static final int LARGEST = 1 << 24;
    private static final int LARGEST_IMAGE = 4096;

    /**
     * Sizes that both towers have.
     *
     * @param hidden width of the residual stream
     * @param layers transformer layers
     * @param heads attention heads, of {@code hidden / heads} channels each
     * @param mlpHidden inner width of the MLP
     * @param act its activation
     * @param eps of each LayerNorm
     */
    public record Tower(long hidden, int layers, long heads, long mlpHidden, Gelu act, double eps) {

        public Tower {
            if (hidden % heads != 0) {
                throw new ModelException("CLIP configuration: " + heads + " heads do not divide a hidden size of " + hidden);
            }
        }
    }

    public ClipConfig {
        if (patchSize > imageSize) {
            throw new ModelException("CLIP configuration: patch_size is " + patchSize + "; expected at most image_size, "
                    + imageSize);
        }
    }

    /** Patches of an image. */
    public int patches() {
        return (imageSize / patchSize) * (imageSize / patchSize);
    }

    /**
     * Reads a transformers {@code config.json}; what it leaves out has transformers' defaults.
     *
     * @throws ModelException naming the entry that is not supported
     */
    public static ClipConfig from(JsonNode json) {
        JsonNode text = part(json, "text_config");
        JsonNode vision = part(json, "vision_config");
        int channels = (int) size(vision, "vision_config.num_channels", 3, LARGEST);
        if (channels != 3) {
            throw new ModelException("CLIP configuration: vision_config.num_channels is " + channels + "; expected 3, for RGB");
        }
        return new ClipConfig(tower(text, "text_config", 512, 2048, 8), size(text, "text_config.vocab_size", 49408, LARGEST),
                (int) size(text, "text_config.max_position_embeddings", 77, LARGEST), eos(text),
                tower(vision, "vision_config", 768, 3072, 12),
                (int) size(vision, "vision_config.image_size", 224, LARGEST_IMAGE),
                (int) size(vision, "vision_config.patch_size", 32, LARGEST_IMAGE),
                size(json, "projection_dim", 512, LARGEST));
    }

    /** The older {@code text_config_dict} and {@code vision_config_dict} overrule all of what stands beside them. */
    private static JsonNode part(JsonNode json, String name) {
        JsonNode older = json.path(name + "_dict");
        JsonNode part = older.isMissingNode() || older.isNull() ? json.path(name) : older;
        if (!part.isObject() && !part.isMissingNode() && !part.isNull()) {
            throw new ModelException("CLIP configuration: " + name + ": expected an object, found " + shown(part));
        }
        return part;
    }

    private static Tower tower(JsonNode json, String name, long hidden, long mlpHidden, long heads) {
        JsonNode eps = json.path("layer_norm_eps");
        double value = absent(eps) ? 1e-5 : eps.isNumber() ? eps.asDouble() : Double.NaN;
        if (!(value >= 0 && value < 1)) {
            throw new ModelException("CLIP configuration: " + name + ".layer_norm_eps: expected a number from 0 to 1, found "
                    + shown(eps));
        }
        return new Tower(size(json, name + ".hidden_size", hidden, LARGEST),
                (int) size(json, name + ".num_hidden_layers", 12, 4096),
                size(json, name + ".num_attention_heads", heads, LARGEST),
                size(json, name + ".intermediate_size", mlpHidden, LARGEST), act(json, name), value);
    }

    private static Gelu act(JsonNode json, String name) {
        JsonNode act = json.path("hidden_act");
        return switch (absent(act) ? "quick_gelu" : act.asString("")) {
            case "quick_gelu" -> Gelu.QUICK;
            case "gelu" -> Gelu.ERF;
            case "gelu_new", "gelu_pytorch_tanh" -> Gelu.TANH;
            default -> throw new ModelException("CLIP configuration: " + name + ".hidden_act: expected gelu, quick_gelu or"
                    + " gelu_new, found " + shown(act));
        };
    }

    private static int eos(JsonNode text) {
        JsonNode eos = text.path("eos_token_id");
        if (absent(eos)) {
            return 49407;
        }
        if (!eos.isInt() || eos.intValue() < 0) {
            throw new ModelException("CLIP configuration: text_config.eos_token_id: expected a token id, found " + shown(eos));
        }
        return eos.intValue();
    }

    /** @param path of the entry; its last part is the name within {@code json} */
    private static long size(JsonNode json, String path, long absent, long largest) {
        JsonNode node = json.path(path.substring(path.lastIndexOf('.') + 1));
        if (absent(node)) {
            return absent;
        }
        long size = node.isIntegralNumber() && node.canConvertToLong() ? node.longValue() : 0;
        if (size < 1 || size > largest) {
            throw new ModelException("CLIP configuration: " + path + ": expected a whole number from 1 to " + largest
                    + ", found " + shown(node));
        }
        return size;
    }

    private static boolean absent(JsonNode node) {
        return node.isMissingNode() || node.isNull();
    }

    private static String shown(JsonNode node) {
        String text = node.toString();
        return text.length() > 40 ? text.substring(0, 40) + "..." : text;
    }
}
