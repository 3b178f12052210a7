package dev.kleinscope.weights;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.util.ArrayList;
import java.util.List;

/** Names and shapes of an autoencoder's tensors. Source: diffusers {@code AutoencoderKLFlux2}, {@code Encoder} and {@code Decoder}. */
final class VaeLayout {

    private static final int MAX_BLOCKS = 16;
    private static final int MAX_LAYERS_PER_BLOCK = 64;

    private final List<Declaration> declarations = new ArrayList<>();
    private final boolean midAttention;

    private VaeLayout(boolean midAttention) {
        this.midAttention = midAttention;
    }

    static List<Declaration> declarations(LayoutConfig config) {
        List<Long> down = config.sizes("block_out_channels", MAX_BLOCKS);
        List<Long> up = config.has("decoder_block_out_channels") ? config.sizes("decoder_block_out_channels", MAX_BLOCKS) : down;
        int layers = (int) config.number("layers_per_block", 1, MAX_LAYERS_PER_BLOCK);
        long latent = config.number("latent_channels", 1, LayoutConfig.MAX_SIZE / 4);
        long groups = config.size("norm_num_groups");
        for (List<Long> widths : List.of(down, up)) {
            if (widths.stream().anyMatch(width -> width % groups != 0)) {
                throw config.problem("block_out_channels " + widths + " are no multiples of norm_num_groups " + groups);
            }
        }
        long patch = config.has("patch_size") ? config.sizes("patch_size", 2).stream().reduce(1L, Math::multiplyExact) : 4;
        if (patch * latent > LayoutConfig.MAX_SIZE) {
            throw config.problem("patches of " + patch + " pixels and " + latent + " latent_channels are too wide for the batch norm");
        }
        VaeLayout layout = new VaeLayout(config.flag("mid_block_add_attention", true));
        layout.declarations.add(new Declaration("bn.num_batches_tracked", DType.I64, Shape.of()));
        layout.add("bn.running_mean", patch * latent);
        layout.add("bn.running_var", patch * latent);
        layout.encoder(config.size("in_channels"), down, layers, 2 * latent);
        if (config.flag("use_quant_conv", true)) {
            layout.conv("quant_conv", 2 * latent, 2 * latent, 1);
        }
        if (config.flag("use_post_quant_conv", true)) {
            layout.conv("post_quant_conv", latent, latent, 1);
        }
        layout.decoder(latent, up.reversed(), layers + 1, config.size("out_channels"));
        return List.copyOf(layout.declarations);
    }

    private void encoder(long in, List<Long> widths, int layers, long out) {
        conv("encoder.conv_in", widths.getFirst(), in, 3);
        long width = widths.getFirst();
        for (int i = 0; i < widths.size(); i++) {
            String block = "encoder.down_blocks." + i;
            width = resnets(block, width, widths.get(i), layers);
            if (i < widths.size() - 1) {
                conv(block + ".downsamplers.0.conv", width, width, 3);
            }
        }
        middle("encoder.mid_block", width);
        norm("encoder.conv_norm_out", width);
        conv("encoder.conv_out", out, width, 3);
    }

    private void decoder(long in, List<Long> widths, int layers, long out) {
        long width = widths.getFirst();
        conv("decoder.conv_in", width, in, 3);
        middle("decoder.mid_block", width);
        for (int i = 0; i < widths.size(); i++) {
            String block = "decoder.up_blocks." + i;
            width = resnets(block, width, widths.get(i), layers);
            if (i < widths.size() - 1) {
                conv(block + ".upsamplers.0.conv", width, width, 3);
            }
        }
        norm("decoder.conv_norm_out", width);
        conv("decoder.conv_out", out, width, 3);
    }

    private long resnets(String block, long in, long out, int count) {
        for (int i = 0; i < count; i++) {
            resnet(block + ".resnets." + i, i == 0 ? in : out, out);
        }
        return out;
    }

    private void resnet(String name, long in, long out) {
        norm(name + ".norm1", in);
        conv(name + ".conv1", out, in, 3);
        norm(name + ".norm2", out);
        conv(name + ".conv2", out, out, 3);
        if (in != out) {
            conv(name + ".conv_shortcut", out, in, 1);
        }
    }

    private void middle(String block, long width) {
        resnet(block + ".resnets.0", width, width);
        if (midAttention) {
            norm(block + ".attentions.0.group_norm", width);
            for (String projection : List.of("to_q", "to_k", "to_v", "to_out.0")) {
                add(block + ".attentions.0." + projection + ".weight", width, width);
                add(block + ".attentions.0." + projection + ".bias", width);
            }
        }
        resnet(block + ".resnets.1", width, width);
    }

    private void conv(String name, long out, long in, int kernel) {
        add(name + ".weight", out, in, kernel, kernel);
        add(name + ".bias", out);
    }

    private void norm(String name, long width) {
        add(name + ".weight", width);
        add(name + ".bias", width);
    }

    private void add(String name, long... dims) {
        declarations.add(new Declaration(name, DType.BF16, new Shape(dims)));
    }
}
