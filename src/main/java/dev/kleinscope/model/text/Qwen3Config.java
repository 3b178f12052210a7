package dev.kleinscope.model.text;

import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.LayoutConfig;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.WeightSource;
import tools.jackson.databind.JsonNode;

/**
 * Sizes of a Qwen3 language model. Source: transformers {@code Qwen3Config}.
 *
 * @param hidden width of the residual stream
 * @param layers transformer layers the checkpoint holds
 * @param heads query heads
 * @param kvHeads key and value heads
 * @param headDim channels of a head
 * @param mlpHidden inner width of the SwiGLU
 * @param vocabulary rows of the embedding
 * @param ropeTheta base of the rotary frequencies
 * @param eps of RMSNorm
 */
public record Qwen3Config(long hidden, int layers, long heads, long kvHeads, long headDim, long mlpHidden, long vocabulary,
        double ropeTheta, double eps) {

    /** Qwen3-4B, the text encoder of klein-4B. */
    public static final Qwen3Config QWEN3_4B = new Qwen3Config(2560, 36, 32, 8, 128, 9728, 151936, 1e6, 1e-6);

    public Qwen3Config {
        for (long size : new long[] {hidden, heads, kvHeads, headDim, mlpHidden, vocabulary}) {
            if (size < 1 || size > 1 << 24) {
                throw new ModelException("text encoder configuration: a size is " + size + "; expected 1 to 16777216");
            }
        }
        if (layers < 1 || layers > 4096 || heads % kvHeads != 0 || headDim % 2 != 0) {
            throw new ModelException("text encoder configuration: " + layers + " layers, " + heads + " heads, " + kvHeads
                    + " key heads of " + headDim + "; expected at least a layer, an even head size, and key heads that divide the heads");
        }
    }

    /** Reads a transformers {@code config.json}. @throws ModelException naming an entry that is wrong */
    public static Qwen3Config from(JsonNode json) {
        LayoutConfig config = new LayoutConfig("text encoder", json);
        String type = json.path("model_type").asString("");
        if (!type.equals("qwen3")) {
            throw new ModelException("text encoder configuration: model_type is \"" + type + "\"; expected \"qwen3\"");
        }
        if (config.flag("attention_bias", false) || config.flag("use_sliding_window", false)) {
            throw new ModelException("text encoder configuration: attention_bias and use_sliding_window are not supported");
        }
        JsonNode rope = json.path("rope_parameters");
        String ropeType = rope.path("rope_type").asString(json.path("rope_scaling").path("rope_type").asString("default"));
        if (!ropeType.equals("default")) {
            throw new ModelException("text encoder configuration: rope type \"" + ropeType
                    + "\" is not supported; Qwen3-4B uses \"default\"");
        }
        double theta = (config.has("rope_theta") ? config : new LayoutConfig("text encoder", rope)).real("rope_theta", 1, 1e12, 10000);
        long heads = config.size("num_attention_heads");
        return new Qwen3Config(config.size("hidden_size"), (int) config.number("num_hidden_layers", 1, LayoutConfig.MAX_LAYERS), heads,
                config.number("num_key_value_heads", 1, LayoutConfig.MAX_SIZE, heads),
                config.number("head_dim", 1, LayoutConfig.MAX_SIZE, 128), config.size("intermediate_size"), config.size("vocab_size"),
                theta, config.real("rms_norm_eps", 0, 1, 1e-6));
    }

    /** Reads the sizes off the weights of a single file; rope base and eps are Qwen3's own. */
    public static Qwen3Config infer(WeightSource weights) {
        int layers = 0;
        while (weights.contains("model.layers." + layers + ".input_layernorm.weight")) {
            layers++;
        }
        if (layers == 0 || !weights.contains("model.embed_tokens.weight")) {
            throw new ModelException(weights.describe() + ": no model.layers.0 or model.embed_tokens; is this a Qwen3 model?");
        }
        Shape embed = shape(weights, "model.embed_tokens.weight", 2);
        long headDim = shape(weights, "model.layers.0.self_attn.q_norm.weight", 1).dim(0);
        return new Qwen3Config(embed.dim(1), layers,
                heads(shape(weights, "model.layers.0.self_attn.q_proj.weight", 2), headDim),
                heads(shape(weights, "model.layers.0.self_attn.k_proj.weight", 2), headDim), headDim,
                shape(weights, "model.layers.0.mlp.down_proj.weight", 2).dim(1), embed.dim(0), 1e6, 1e-6);
    }

    /** None, which is refused later, where there are no heads to count. */
    private static long heads(Shape projection, long headDim) {
        return headDim == 0 ? 0 : projection.dim(0) / headDim;
    }

    private static Shape shape(WeightSource weights, String name, int rank) {
        if (!weights.contains(name)) {
            throw new ModelException(weights.describe() + ": no tensor " + name + "; is this a Qwen3 model?");
        }
        Shape shape = weights.tensor(name).shape();
        if (shape.rank() != rank) {
            throw new ModelException(weights.describe() + ": " + name + ": expected " + rank + " dimensions, found " + shape);
        }
        return shape;
    }
}
