package dev.kleinscope.weights;

import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The two vocabularies of FLUX.2's autoencoder: Black Forest Labs' and diffusers'.
 *
 * <p>Source: {@code flux2/autoencoder.py}; diffusers {@code convert_flux2_to_diffusers.py}.
 */
public final class VaeNames {

    static final String BFL_KEY = "decoder.mid.block_1.conv1.weight";

    private static final Pattern MIDDLE_RESIDUAL = Pattern.compile("(encoder|decoder)\\.mid\\.block_([12])\\.(.+)");
    private static final Pattern MIDDLE_ATTENTION = Pattern.compile(
            "(encoder|decoder)\\.mid\\.attn_1\\.(norm|q|k|v|proj_out)\\.(.+)");
    private static final Pattern RESIDUAL = Pattern.compile("(encoder\\.down|decoder\\.up)\\.(\\d{1,4})\\.block\\.(\\d{1,4})\\.(.+)");
    private static final Pattern RESAMPLER = Pattern.compile(
            "(encoder\\.down|decoder\\.up)\\.(\\d{1,4})\\.(down|up)sample\\.conv\\.(.+)");

    private static final Map<String, String> ATTENTION = Map.of("norm", "group_norm", "q", "to_q", "k", "to_k", "v", "to_v",
            "proj_out", "to_out.0");
    private static final Map<String, String> TOP = Map.of(
            "encoder.norm_out", "encoder.conv_norm_out",
            "decoder.norm_out", "decoder.conv_norm_out",
            "encoder.quant_conv", "quant_conv",
            "decoder.post_quant_conv", "post_quant_conv");

    private VaeNames() {
    }

    /**
     * The autoencoder in {@code source} under diffusers' names; all tensors are views. Names that belong to neither
     * vocabulary stay, so that {@link WeightReader#finish} reports them. Closing the result closes the source.
     *
     * @return {@code source} itself if its names are diffusers' already
     * @throws ModelException if two tensors would have the same name
     */
    public static WeightSource diffusers(WeightSource source) {
        if (!source.contains(BFL_KEY)) {
            return source;
        }
        int blocks = blocks(source);
        Map<String, RenamedWeights.View> views = new LinkedHashMap<>();
        for (String name : source.names()) {
            boolean attention = MIDDLE_ATTENTION.matcher(name).matches();
            RenamedWeights.put(source, views, diffusers(name, blocks),
                    attention ? new RenamedWeights.View(name, VaeNames::withoutKernel) : RenamedWeights.View.whole(name));
        }
        return new RenamedWeights(source, views);
    }

    /**
     * Diffusers' name for one of Black Forest Labs'; the name itself if it is none.
     *
     * @param blocks the decoder's blocks, which diffusers counts from the other end
     */
    static String diffusers(String name, int blocks) {
        Matcher residual = RESIDUAL.matcher(name);
        if (residual.matches()) {
            return block(residual.group(1), residual.group(2), blocks) + ".resnets." + residual.group(3) + "."
                    + shortcut(residual.group(4));
        }
        Matcher resampler = RESAMPLER.matcher(name);
        if (resampler.matches()) {
            return block(resampler.group(1), resampler.group(2), blocks) + "." + resampler.group(3) + "samplers.0.conv."
                    + resampler.group(4);
        }
        Matcher middle = MIDDLE_RESIDUAL.matcher(name);
        if (middle.matches()) {
            return middle.group(1) + ".mid_block.resnets." + (middle.group(2).equals("1") ? 0 : 1) + "."
                    + shortcut(middle.group(3));
        }
        Matcher attention = MIDDLE_ATTENTION.matcher(name);
        if (attention.matches()) {
            return attention.group(1) + ".mid_block.attentions.0." + ATTENTION.get(attention.group(2)) + "." + attention.group(3);
        }
        int dot = name.lastIndexOf('.');
        String module = dot < 0 ? name : name.substring(0, dot);
        return TOP.containsKey(module) ? TOP.get(module) + name.substring(dot) : name;
    }

    private static String block(String side, String index, int blocks) {
        return side.equals("decoder.up") ? "decoder.up_blocks." + (blocks - 1 - Integer.parseInt(index))
                : "encoder.down_blocks." + Integer.parseInt(index);
    }

    private static String shortcut(String layer) {
        return layer.replaceFirst("^nin_shortcut\\.", "conv_shortcut.");
    }

    private static int blocks(WeightSource source) {
        int blocks = 0;
        for (String name : source.names()) {
            Matcher residual = RESIDUAL.matcher(name);
            if (residual.matches() && residual.group(1).equals("decoder.up")) {
                blocks = Math.max(blocks, Integer.parseInt(residual.group(2)) + 1);
            }
        }
        return blocks;
    }

    /** A 1x1 convolution [out, in, 1, 1] as the linear layer it is; anything else stays. */
    private static Tensor withoutKernel(Tensor stored, Arena copies) {
        boolean pointwise = stored.shape().rank() == 4 && stored.dim(2) == 1 && stored.dim(3) == 1;
        return pointwise ? stored.reshape(stored.dim(0), stored.dim(1)) : stored;
    }
}
