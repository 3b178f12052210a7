package dev.kleinscope.weights;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/**
 * Names and shapes of all tensors of a component, from its {@code config.json}, in the order of computation and in BF16.
 *
 * <p>Sources: diffusers {@code Flux2Transformer2DModel} and {@code AutoencoderKLFlux2}, transformers {@code Qwen3ForCausalLM}. Every
 * method throws {@link ModelException} where the configuration lacks a size, or has one that no model can have.
 */
public final class ModelLayout {

    private final List<Declaration> declarations = new ArrayList<>();

    private ModelLayout() {
    }

    /** The layout of a component that has weights: transformer, text encoder or VAE. */
    static List<Declaration> of(ComponentKind kind, JsonNode config) {
        return switch (kind) {
            case TRANSFORMER -> transformer(config);
            case TEXT_ENCODER -> textEncoder(config);
            case VAE -> vae(config);
            default -> throw new IllegalArgumentException("the layout of a " + kind.folder() + " is not known");
        };
    }

    /** A FLUX.2 transformer; {@code mlp_ratio}, {@code timestep_guidance_channels} and {@code guidance_embeds} may be absent. */
    public static List<Declaration> transformer(JsonNode json) {
        LayoutConfig config = new LayoutConfig("transformer", json);
        config.number("patch_size", 1, 1, 1);
        long headDim = config.size("attention_head_dim");
        long heads = config.size("num_attention_heads");
        long hidden = Math.multiplyExact(headDim, heads);
        double mlp = Math.floor(hidden * config.ratio("mlp_ratio", 3));
        if (hidden > LayoutConfig.MAX_SIZE || mlp < 1 || mlp > LayoutConfig.MAX_SIZE) {
            throw config.problem(heads + " heads of " + headDim + " and mlp_ratio " + json.path("mlp_ratio").asDouble(3)
                    + " give widths of " + hidden + " and " + (long) mlp + ", expected 1 to " + LayoutConfig.MAX_SIZE);
        }
        long mlpHidden = (long) mlp;
        long inChannels = config.size("in_channels");
        long timeChannels = config.number("timestep_guidance_channels", 2, LayoutConfig.MAX_SIZE, 256);
        int doubles = config.layers("num_layers", 0);
        int singles = config.layers("num_single_layers", 0);
        ModelLayout layout = new ModelLayout();
        layout.timeEmbedder("timestep_embedder", hidden, timeChannels);
        if (config.flag("guidance_embeds", true)) {
            layout.timeEmbedder("guidance_embedder", hidden, timeChannels);
        }
        layout.linear("double_stream_modulation_img.linear", 6 * hidden, hidden);
        layout.linear("double_stream_modulation_txt.linear", 6 * hidden, hidden);
        layout.linear("single_stream_modulation.linear", 3 * hidden, hidden);
        layout.linear("x_embedder", hidden, inChannels);
        layout.linear("context_embedder", hidden, config.size("joint_attention_dim"));
        for (int i = 0; i < doubles; i++) {
            layout.doubleBlock("transformer_blocks." + i, hidden, headDim, mlpHidden);
        }
        for (int i = 0; i < singles; i++) {
            String block = "single_transformer_blocks." + i + ".attn.";
            layout.linear(block + "to_qkv_mlp_proj", 3 * hidden + 2 * mlpHidden, hidden);
            layout.add(block + "norm_q.weight", headDim);
            layout.add(block + "norm_k.weight", headDim);
            layout.linear(block + "to_out", hidden, hidden + mlpHidden);
        }
        layout.linear("norm_out.linear", 2 * hidden, hidden);
        layout.linear("proj_out", config.number("out_channels", 1, LayoutConfig.MAX_SIZE, inChannels), hidden);
        return List.copyOf(layout.declarations);
    }

    private void timeEmbedder(String name, long hidden, long channels) {
        linear("time_guidance_embed." + name + ".linear_1", hidden, channels);
        linear("time_guidance_embed." + name + ".linear_2", hidden, hidden);
    }

    private void doubleBlock(String block, long hidden, long headDim, long mlpHidden) {
        for (String projection : List.of("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0", "to_add_out")) {
            linear(block + ".attn." + projection, hidden, hidden);
        }
        for (String norm : List.of("norm_q", "norm_k", "norm_added_q", "norm_added_k")) {
            add(block + ".attn." + norm + ".weight", headDim);
        }
        for (String ff : List.of("ff", "ff_context")) {
            linear(block + "." + ff + ".linear_in", 2 * mlpHidden, hidden);
            linear(block + "." + ff + ".linear_out", hidden, mlpHidden);
        }
    }

    /** A Qwen3 language model; without {@code tie_word_embeddings} it has an output head of its own. */
    public static List<Declaration> textEncoder(JsonNode json) {
        LayoutConfig config = new LayoutConfig("text encoder", json);
        long hidden = config.size("hidden_size");
        long vocabulary = config.size("vocab_size");
        long mlpHidden = config.size("intermediate_size");
        long headDim = config.size("head_dim");
        long queries = headDim * config.size("num_attention_heads");
        long keys = headDim * config.size("num_key_value_heads");
        if (Math.max(queries, keys) > LayoutConfig.MAX_SIZE) {
            throw config.problem("the heads are " + queries + " wide, expected at most " + LayoutConfig.MAX_SIZE);
        }
        int layers = config.layers("num_hidden_layers", 1);
        ModelLayout layout = new ModelLayout();
        layout.linear("model.embed_tokens", vocabulary, hidden);
        for (int i = 0; i < layers; i++) {
            String layer = "model.layers." + i + ".";
            layout.add(layer + "input_layernorm.weight", hidden);
            layout.linear(layer + "self_attn.q_proj", queries, hidden);
            layout.linear(layer + "self_attn.k_proj", keys, hidden);
            layout.linear(layer + "self_attn.v_proj", keys, hidden);
            layout.add(layer + "self_attn.q_norm.weight", headDim);
            layout.add(layer + "self_attn.k_norm.weight", headDim);
            layout.linear(layer + "self_attn.o_proj", hidden, queries);
            layout.add(layer + "post_attention_layernorm.weight", hidden);
            layout.linear(layer + "mlp.gate_proj", mlpHidden, hidden);
            layout.linear(layer + "mlp.up_proj", mlpHidden, hidden);
            layout.linear(layer + "mlp.down_proj", hidden, mlpHidden);
        }
        layout.add("model.norm.weight", hidden);
        if (!config.flag("tie_word_embeddings", false)) {
            layout.linear("lm_head", vocabulary, hidden);
        }
        return List.copyOf(layout.declarations);
    }

    /** FLUX.2's autoencoder. Its counter of training steps is I64 and comes first, so that it is aligned. */
    public static List<Declaration> vae(JsonNode json) {
        return VaeLayout.declarations(new LayoutConfig("vae", json));
    }

    private void linear(String name, long out, long in) {
        add(name + ".weight", out, in);
    }

    private void add(String name, long... dims) {
        declarations.add(new Declaration(name, DType.BF16, new Shape(dims)));
    }
}
