package dev.kleinscope.model.vae;

import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.LayoutConfig;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.WeightSource;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/**
 * Sizes of FLUX.2's autoencoder. Source: diffusers {@code AutoencoderKLFlux2}, whose {@code config.json} this reads.
 *
 * @param inChannels channels of a picture to encode
 * @param outChannels channels of a decoded picture
 * @param latentChannels channels of a latent pixel
 * @param encoderChannels width of each of the encoder's blocks, the finest first
 * @param decoderChannels width of each of the decoder's blocks, in the encoder's order: the decoder runs them backwards
 * @param layersPerBlock residual blocks in each of the encoder's blocks; the decoder's have one more
 * @param normGroups groups of each GroupNorm
 * @param quantConv whether a 1x1 convolution follows the encoder
 * @param postQuantConv whether one precedes the decoder
 * @param midAttention whether the middle blocks have attention
 * @param batchNormEps of the latents' statistics
 */
public record VaeConfig(long inChannels, long outChannels, long latentChannels, List<Integer> encoderChannels,
        List<Integer> decoderChannels, int layersPerBlock, long normGroups, boolean quantConv, boolean postQuantConv,
        boolean midAttention, double batchNormEps) {

    /** Of every GroupNorm; diffusers hands it to the blocks, so that no configuration names it. */
    static final double NORM_EPS = 1e-6;

    private static final int MAX_BLOCKS = 8;
    private static final int MAX_LAYERS = 64;
    private static final long MAX_CHANNELS = 1 << 16;

    public VaeConfig {
        encoderChannels = List.copyOf(encoderChannels);
        decoderChannels = List.copyOf(decoderChannels);
        for (long channels : new long[] {inChannels, outChannels, latentChannels, normGroups}) {
            if (channels < 1 || channels > MAX_CHANNELS) {
                throw new ModelException("vae configuration: a size is " + channels + "; expected 1 to " + MAX_CHANNELS);
            }
        }
        if (layersPerBlock < 1 || layersPerBlock > MAX_LAYERS) {
            throw new ModelException("vae configuration: layers_per_block " + layersPerBlock + "; expected 1 to " + MAX_LAYERS);
        }
        checkWidths("block_out_channels", encoderChannels, normGroups);
        checkWidths("decoder_block_out_channels", decoderChannels, normGroups);
        if (decoderChannels.size() != encoderChannels.size()) {
            throw new ModelException("vae configuration: block_out_channels " + encoderChannels + " and decoder_block_out_channels "
                    + decoderChannels + " must be equally many");
        }
        if (!(batchNormEps >= 0) || Double.isInfinite(batchNormEps)) {
            throw new ModelException("vae configuration: batch_norm_eps " + batchNormEps + "; expected a small positive number");
        }
    }

    private static void checkWidths(String name, List<Integer> widths, long groups) {
        if (widths.isEmpty() || widths.size() > MAX_BLOCKS
                || widths.stream().anyMatch(width -> width < 1 || width > MAX_CHANNELS || width % groups != 0)) {
            throw new ModelException("vae configuration: " + name + " " + widths + "; expected up to " + MAX_BLOCKS
                    + " multiples of norm_num_groups " + groups + ", at most " + MAX_CHANNELS);
        }
    }

    public int blocks() {
        return encoderChannels.size();
    }

    /** Pixels along a side of a picture for each of its latents: 8. */
    public int scale() {
        return 1 << (blocks() - 1);
    }

    /** Channels of a latent token: those of two by two latent pixels. */
    public long tokenChannels() {
        return 4 * latentChannels;
    }

    /** Reads a diffusers {@code config.json}. Absent entries take diffusers' defaults. @throws ModelException naming an entry that is wrong */
    public static VaeConfig from(JsonNode json) {
        LayoutConfig config = new LayoutConfig("vae", json);
        List<Integer> widths = config.has("block_out_channels") ? integers(config, "block_out_channels")
                : List.of(128, 256, 512, 512);
        List<Integer> decoderWidths = config.has("decoder_block_out_channels") ? integers(config, "decoder_block_out_channels") : widths;
        require(json, "down_block_types", "DownEncoderBlock2D", widths.size());
        require(json, "up_block_types", "UpDecoderBlock2D", widths.size());
        String activation = config.has("act_fn") ? json.path("act_fn").asString("") : "silu";
        if (!activation.equals("silu") && !activation.equals("swish")) {
            throw new ModelException("vae configuration: act_fn " + json.path("act_fn") + " is not supported; FLUX.2 uses silu");
        }
        if (config.has("patch_size") && !integers(config, "patch_size").equals(List.of(2, 2))) {
            throw new ModelException("vae configuration: patch_size " + json.path("patch_size")
                    + " is not supported; FLUX.2 uses [2, 2]");
        }
        return new VaeConfig(config.number("in_channels", 1, MAX_CHANNELS, 3), config.number("out_channels", 1, MAX_CHANNELS, 3),
                config.number("latent_channels", 1, MAX_CHANNELS, 32), widths, decoderWidths,
                (int) config.number("layers_per_block", 1, MAX_LAYERS, 2), config.number("norm_num_groups", 1, MAX_CHANNELS, 32),
                config.flag("use_quant_conv", true), config.flag("use_post_quant_conv", true),
                config.flag("mid_block_add_attention", true), config.real("batch_norm_eps", 0, 1, 1e-4));
    }

    private static List<Integer> integers(LayoutConfig config, String name) {
        return config.numbers(name, MAX_BLOCKS, 1).stream().map(Long::intValue).toList();
    }

    private static void require(JsonNode json, String name, String type, int count) {
        JsonNode types = json.path(name);
        if (types.isMissingNode()) {
            return;
        }
        boolean fits = types.isArray() && types.size() == count;
        for (int i = 0; fits && i < count; i++) {
            fits = types.get(i).asString("").equals(type);
        }
        if (!fits) {
            throw new ModelException("vae configuration: " + name + ": expected " + count + " times " + type
                    + ", one for each of block_out_channels; found " + types.size() + " entries that differ");
        }
    }

    /** Reads the sizes off the weights, for single files that carry no configuration. Names are diffusers'. */
    public static VaeConfig infer(WeightSource weights) {
        List<Integer> encoder = new ArrayList<>();
        List<Integer> decoder = new ArrayList<>();
        while (encoder.size() < MAX_BLOCKS && weights.contains(first("encoder.down_blocks.", encoder.size()))) {
            encoder.add((int) Math.min(MAX_CHANNELS + 1, shape(weights, first("encoder.down_blocks.", encoder.size())).dim(0)));
        }
        while (decoder.size() < MAX_BLOCKS && weights.contains(first("decoder.up_blocks.", decoder.size()))) {
            decoder.addFirst((int) Math.min(MAX_CHANNELS + 1, shape(weights, first("decoder.up_blocks.", decoder.size())).dim(0)));
        }
        int layers = 0;
        while (layers < MAX_LAYERS && weights.contains("encoder.down_blocks.0.resnets." + layers + ".conv1.weight")) {
            layers++;
        }
        Shape decoderIn = shape(weights, "decoder.conv_in.weight");
        return new VaeConfig(shape(weights, "encoder.conv_in.weight").dim(1), shape(weights, "decoder.conv_out.weight").dim(0),
                decoderIn.dim(1), encoder, decoder, layers, 32, weights.contains("quant_conv.weight"),
                weights.contains("post_quant_conv.weight"), weights.contains("decoder.mid_block.attentions.0.to_q.weight"), 1e-4);
    }

    private static String first(String prefix, int block) {
        return prefix + block + ".resnets.0.conv1.weight";
    }

    private static Shape shape(WeightSource weights, String name) {
        if (!weights.contains(name)) {
            throw new ModelException(weights.describe() + ": no tensor " + name + "; is this FLUX.2's autoencoder?");
        }
        Shape shape = weights.tensor(name).shape();
        if (shape.rank() != 4) {
            throw new ModelException(weights.describe() + ": " + name + ": expected 4 dimensions, found " + shape);
        }
        return shape;
    }
}
