package dev.kleinscope.model.dit;

import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.LayoutConfig;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.WeightSource;
import java.util.List;
import tools.jackson.databind.JsonNode;

/**
 * Sizes of a FLUX.2 transformer. Source: diffusers {@code Flux2Transformer2DModel}, whose {@code config.json} this reads.
 *
 * @param inChannels channels of a latent token
 * @param outChannels channels of a predicted token
 * @param doubleBlocks blocks with separate text and image streams
 * @param singleBlocks blocks on the joint stream
 * @param headDim channels of an attention head
 * @param heads attention heads
 * @param textDim channels of a prompt embedding
 * @param timestepChannels channels of the timestep sinusoid
 * @param mlpHidden inner width of the SwiGLU
 * @param ropeAxes head channels given to each of T, H, W, L; their sum is headDim
 * @param ropeTheta base of the rotary frequencies
 * @param eps of LayerNorm and RMSNorm
 * @param guidanceEmbeds whether the time embedding takes the guidance scale (FLUX.2-dev)
 */
public record DitConfig(long inChannels, long outChannels, int doubleBlocks, int singleBlocks, long headDim, long heads,
        long textDim, long timestepChannels, long mlpHidden, List<Integer> ropeAxes, double ropeTheta, double eps,
        boolean guidanceEmbeds) {

    /** klein-4B: what a missing entry of a configuration that is not diffusers' own default would be checked against. */
    public static final DitConfig KLEIN_4B = new DitConfig(128, 128, 5, 20, 128, 24, 7680, 256, 9216,
            List.of(32, 32, 32, 32), 2000, 1e-6, false);

    public DitConfig {
        ropeAxes = List.copyOf(ropeAxes);
        for (long size : new long[] {inChannels, outChannels, headDim, heads, textDim, timestepChannels, mlpHidden}) {
            if (size < 1 || size > 1 << 24) {
                throw new ModelException("transformer configuration: a size is " + size + "; expected 1 to 16777216");
            }
        }
        if (doubleBlocks < 0 || singleBlocks < 0 || doubleBlocks + singleBlocks > 4096) {
            throw new ModelException("transformer configuration: " + doubleBlocks + " double and " + singleBlocks
                    + " single blocks; expected none or more of each and at most 4096 together");
        }
        if (headDim % 2 != 0 || ropeAxes.stream().anyMatch(axis -> axis < 0 || axis % 2 != 0)
                || ropeAxes.stream().mapToLong(axis -> axis).sum() != headDim || ropeAxes.size() > 4) {
            throw new ModelException("transformer configuration: axes_dims_rope " + ropeAxes
                    + " must be up to four even numbers that add up to attention_head_dim " + headDim);
        }
        if (timestepChannels % 2 != 0) {
            throw new ModelException("transformer configuration: timestep_guidance_channels " + timestepChannels
                    + " must be even");
        }
    }

    /** Width of the residual stream. */
    public long hidden() {
        return heads * headDim;
    }

    /** Reads a diffusers {@code config.json}. Absent entries take diffusers' defaults. @throws ModelException naming an entry that is wrong */
    public static DitConfig from(JsonNode json) {
        LayoutConfig config = new LayoutConfig("transformer", json);
        if (config.number("patch_size", 1, LayoutConfig.MAX_SIZE, 1) != 1) {
            throw new ModelException("transformer configuration: patch_size " + json.path("patch_size")
                    + " is not supported; FLUX.2 uses 1");
        }
        long inChannels = size(config, "in_channels", 128);
        long heads = size(config, "num_attention_heads", 48);
        long headDim = size(config, "attention_head_dim", 128);
        List<Integer> axes = config.has("axes_dims_rope")
                ? config.numbers("axes_dims_rope", 4, 0).stream().map(Long::intValue).toList() : List.of(32, 32, 32, 32);
        return new DitConfig(inChannels, size(config, "out_channels", inChannels),
                (int) config.number("num_layers", 0, LayoutConfig.MAX_LAYERS, 8),
                (int) config.number("num_single_layers", 0, LayoutConfig.MAX_LAYERS, 48), headDim, heads,
                size(config, "joint_attention_dim", 15360), size(config, "timestep_guidance_channels", 256),
                (long) (heads * headDim * config.ratio("mlp_ratio", 3)), axes, config.real("rope_theta", 1, 1e12, 2000),
                config.real("eps", 0, 1, 1e-6), config.flag("guidance_embeds", true));
    }

    private static long size(LayoutConfig config, String key, long absent) {
        return config.number(key, 1, LayoutConfig.MAX_SIZE, absent);
    }

    /** Reads the sizes off the weights, for single files that carry no configuration. Names are diffusers'. */
    public static DitConfig infer(WeightSource weights) {
        Shape embed = shape(weights, "x_embedder.weight");
        long hidden = embed.dim(0);
        int doubles = count(weights, "transformer_blocks.");
        int singles = count(weights, "single_transformer_blocks.");
        long headDim = shape(weights, doubles > 0 ? "transformer_blocks.0.attn.norm_q.weight"
                : "single_transformer_blocks.0.attn.norm_q.weight").dim(0);
        if (headDim == 0 || hidden % headDim != 0 || headDim % 8 != 0) {
            throw new ModelException(weights.describe() + ": hidden size " + hidden + " is not a number of heads of "
                    + headDim + "; put the transformer's config.json beside the weights");
        }
        long mlpHidden = doubles > 0 ? shape(weights, "transformer_blocks.0.ff.linear_out.weight").dim(1)
                : shape(weights, "single_transformer_blocks.0.attn.to_out.weight").dim(1) - hidden;
        int axis = (int) (headDim / 4);
        return new DitConfig(embed.dim(1), shape(weights, "proj_out.weight").dim(0), doubles, singles, headDim, hidden / headDim,
                shape(weights, "context_embedder.weight").dim(1),
                shape(weights, "time_guidance_embed.timestep_embedder.linear_1.weight").dim(1), mlpHidden,
                List.of(axis, axis, axis, axis), 2000, 1e-6,
                weights.contains("time_guidance_embed.guidance_embedder.linear_1.weight"));
    }

    private static Shape shape(WeightSource weights, String name) {
        if (!weights.contains(name)) {
            throw new ModelException(weights.describe() + ": no tensor " + name + "; is this a FLUX.2 transformer?");
        }
        Shape shape = weights.tensor(name).shape();
        int rank = name.contains("norm_q") ? 1 : 2;
        if (shape.rank() != rank) {
            throw new ModelException(weights.describe() + ": " + name + ": expected " + rank + " dimensions, found " + shape);
        }
        return shape;
    }

    private static int count(WeightSource weights, String prefix) {
        int count = -1;
        for (String name : weights.names()) {
            if (name.startsWith(prefix)) {
                String index = name.substring(prefix.length(), name.indexOf('.', prefix.length()));
                if (index.matches("[0-9]{1,4}")) {
                    count = Math.max(count, Integer.parseInt(index));
                }
            }
        }
        return count + 1;
    }
}
