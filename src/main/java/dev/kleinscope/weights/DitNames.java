package dev.kleinscope.weights;

import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The two vocabularies of FLUX.2's DiT: Black Forest Labs' and diffusers'.
 *
 * <p>Source: {@code flux2/model.py}; diffusers {@code single_file_utils.py}, {@code convert_flux2_transformer_checkpoint_to_diffusers}.
 */
public final class DitNames {

    /** What ComfyUI puts before the names of Black Forest Labs. */
    static final String PREFIX = "model.diffusion_model.";
    static final String BFL_KEY = "double_stream_modulation_img.lin.weight";
    static final String DIFFUSERS_KEY = "double_stream_modulation_img.linear.weight";

    private static final Pattern BLOCK = Pattern.compile("(double|single)_blocks\\.(\\d{1,4})\\.(.+)");

    private static final Map<String, String> TOP = Map.ofEntries(
            Map.entry("img_in", "x_embedder"),
            Map.entry("txt_in", "context_embedder"),
            Map.entry("time_in.in_layer", "time_guidance_embed.timestep_embedder.linear_1"),
            Map.entry("time_in.out_layer", "time_guidance_embed.timestep_embedder.linear_2"),
            Map.entry("guidance_in.in_layer", "time_guidance_embed.guidance_embedder.linear_1"),
            Map.entry("guidance_in.out_layer", "time_guidance_embed.guidance_embedder.linear_2"),
            Map.entry("double_stream_modulation_img.lin", "double_stream_modulation_img.linear"),
            Map.entry("double_stream_modulation_txt.lin", "double_stream_modulation_txt.linear"),
            Map.entry("single_stream_modulation.lin", "single_stream_modulation.linear"),
            Map.entry("final_layer.linear", "proj_out"));

    private static final String FINAL_MODULATION = "final_layer.adaLN_modulation.1";

    private static final Map<String, List<String>> DOUBLE = Map.ofEntries(
            Map.entry("img_attn.qkv", List.of("attn.to_q", "attn.to_k", "attn.to_v")),
            Map.entry("txt_attn.qkv", List.of("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")),
            Map.entry("img_attn.proj", List.of("attn.to_out.0")),
            Map.entry("txt_attn.proj", List.of("attn.to_add_out")),
            Map.entry("img_attn.norm.query_norm", List.of("attn.norm_q")),
            Map.entry("img_attn.norm.key_norm", List.of("attn.norm_k")),
            Map.entry("txt_attn.norm.query_norm", List.of("attn.norm_added_q")),
            Map.entry("txt_attn.norm.key_norm", List.of("attn.norm_added_k")),
            Map.entry("img_mlp.0", List.of("ff.linear_in")),
            Map.entry("img_mlp.2", List.of("ff.linear_out")),
            Map.entry("txt_mlp.0", List.of("ff_context.linear_in")),
            Map.entry("txt_mlp.2", List.of("ff_context.linear_out")));

    private static final Map<String, List<String>> SINGLE = Map.of(
            "linear1", List.of("attn.to_qkv_mlp_proj"),
            "linear2", List.of("attn.to_out"),
            "norm.query_norm", List.of("attn.norm_q"),
            "norm.key_norm", List.of("attn.norm_k"));

    /**
     * What a module of Black Forest Labs' is to diffusers.
     *
     * @param module diffusers' name of the module
     * @param part which of the equal parts of the rows it is, from 0
     * @param parts into how many equal parts the rows are divided
     * @param halvesSwapped whether the upper and the lower half of the rows change places
     */
    public record Target(String module, int part, int parts, boolean halvesSwapped) {
    }

    private DitNames() {
    }

    /**
     * Diffusers' modules for one of Black Forest Labs'.
     *
     * @param module for instance {@code double_blocks.4.img_attn.qkv}
     * @return in the order of the rows; empty if there is no such module
     */
    public static List<Target> targets(String module) {
        if (module.equals(FINAL_MODULATION)) {
            return List.of(new Target("norm_out.linear", 0, 1, true));
        }
        String top = TOP.get(module);
        if (top != null) {
            return List.of(new Target(top, 0, 1, false));
        }
        Matcher block = BLOCK.matcher(module);
        if (!block.matches()) {
            return List.of();
        }
        boolean twoStreams = block.group(1).equals("double");
        List<String> names = (twoStreams ? DOUBLE : SINGLE).getOrDefault(block.group(3), List.of());
        String prefix = (twoStreams ? "transformer_blocks." : "single_transformer_blocks.") + block.group(2) + ".";
        return names.stream().map(name -> new Target(prefix + name, names.indexOf(name), names.size(), false)).toList();
    }

    /**
     * The DiT in {@code source} under diffusers' names. Slices of stacked projections are views; only
     * {@code norm_out.linear} is copied, because no stride expresses its swapped halves. Names that belong to neither
     * vocabulary stay, so that {@link WeightReader#finish} reports them. Closing the result closes the source.
     *
     * @return {@code source} itself if its names are diffusers' already
     * @throws ModelException if a stacked projection cannot be divided, or two tensors would have the same name
     */
    public static WeightSource diffusers(WeightSource source) {
        if (source.contains(PREFIX + BFL_KEY) || source.contains(PREFIX + DIFFUSERS_KEY)) {
            return diffusers(source.stripPrefix(PREFIX));
        }
        if (!source.contains(BFL_KEY)) {
            return source;
        }
        Map<String, RenamedWeights.View> views = new LinkedHashMap<>();
        for (String name : source.names()) {
            addViews(source, name, views);
        }
        return new RenamedWeights(source, views);
    }

    private static void addViews(WeightSource source, String name, Map<String, RenamedWeights.View> views) {
        int dot = name.lastIndexOf('.');
        List<Target> targets = dot < 0 ? List.of() : targets(name.substring(0, dot));
        if (targets.isEmpty()) {
            RenamedWeights.put(source, views, name, RenamedWeights.View.whole(name));
            return;
        }
        String leaf = name.substring(dot + 1);
        boolean norm = name.startsWith("_norm", dot - "_norm".length());
        String exposed = norm && leaf.equals("scale") ? "weight" : leaf;
        boolean rows = leaf.equals("weight") || leaf.equals("bias");
        for (Target target : targets) {
            int divisor = target.halvesSwapped() ? 2 : target.parts();
            Shape shape = source.tensor(name).shape();
            // Scalars beside a weight, such as the scales of 8-bit files, hold for all of its rows.
            if (!rows || divisor == 1) {
                RenamedWeights.put(source, views, target.module() + "." + exposed, RenamedWeights.View.whole(name));
                continue;
            }
            if (shape.rank() == 0 || shape.dim(0) % divisor != 0) {
                throw new ModelException(Text.quote(name) + ": expected rows that divide by " + divisor + ", found "
                        + shape + " in "
                        + source.file(name) + "; check that it is the right model");
            }
            RenamedWeights.Presentation presentation = target.halvesSwapped() ? DitNames::swapHalves : (stored, copies) -> {
                long each = stored.dim(0) / target.parts();
                return stored.slice(0, target.part() * each, (target.part() + 1) * each);
            };
            RenamedWeights.put(source, views, target.module() + "." + exposed, new RenamedWeights.View(name, presentation));
        }
    }

    /** A copy whose rows d to 2d come first. Black Forest Labs stacks (shift, scale) here, diffusers (scale, shift). */
    private static Tensor swapHalves(Tensor stored, Arena copies) {
        long size = stored.dtype().bytes(stored.shape().elements());
        MemorySegment from = ((HostStorage) stored.storage()).segment().asSlice(stored.dtype().bytes(stored.offset()), size);
        MemorySegment to = copies.allocate(size, Long.BYTES);
        MemorySegment.copy(from, size / 2, to, 0, size / 2);
        MemorySegment.copy(from, 0, to, size / 2, size / 2);
        return Tensor.of(stored.name(), stored.dtype(), stored.shape(), new HostStorage(to));
    }
}
