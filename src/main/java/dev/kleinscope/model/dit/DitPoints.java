package dev.kleinscope.model.dit;

import java.util.LinkedHashMap;
import java.util.Map;

/** Names of everything a transformer's forward reports, as diffusers' module paths. */
public final class DitPoints {

    private DitPoints() {
    }

    record Side(String norm1, String toQ, String toK, String toV, String normQ, String normK, String attn, String norm2,
            String linearIn, String ff, String out) {
    }

    record Single(String norm, String toQkvMlp, String normQ, String normK, String attn, String out) {

        static Single of(String block) {
            return new Single(block + ".norm", block + ".attn.to_qkv_mlp_proj", block + ".attn.norm_q",
                    block + ".attn.norm_k", block + ".attn", block);
        }
    }

    static String doubleBlock(int index) {
        return "transformer_blocks." + index;
    }

    static String singleBlock(int index) {
        return "single_transformer_blocks." + index;
    }

    /**
     * Every point in the order of the paper, with its shape for people: {@code img}, {@code txt} and {@code all} stand for
     * numbers of tokens, {@code B} for the batch.
     */
    public static Map<String, String> all(DitConfig config) {
        Map<String, String> points = new LinkedHashMap<>();
        long hidden = config.hidden();
        points.put("time_guidance_embed", "[B, " + hidden + "]");
        points.put("double_stream_modulation_img", "[B, " + 6 * hidden + "]");
        points.put("double_stream_modulation_txt", "[B, " + 6 * hidden + "]");
        points.put("single_stream_modulation", "[B, " + 3 * hidden + "]");
        points.put("x_embedder", "[B, img, " + hidden + "]");
        points.put("context_embedder", "[B, txt, " + hidden + "]");
        points.put("pos_embed.cos", "[all, " + config.headDim() + "]");
        points.put("pos_embed.sin", "[all, " + config.headDim() + "]");
        String perHead = config.heads() + ", " + config.headDim() + "]";
        for (int i = 0; i < config.doubleBlocks(); i++) {
            String block = doubleBlock(i) + ".";
            side(points, block, "img", hidden, config.mlpHidden(), perHead, "attn.to_q", "attn.to_k", "attn.to_v",
                    "attn.norm_q", "attn.norm_k", "norm1", "norm2", "ff");
            side(points, block, "txt", hidden, config.mlpHidden(), perHead, "attn.add_q_proj", "attn.add_k_proj",
                    "attn.add_v_proj", "attn.norm_added_q", "attn.norm_added_k", "norm1_context", "norm2_context", "ff_context");
        }
        for (int i = 0; i < config.singleBlocks(); i++) {
            Single single = Single.of(singleBlock(i));
            points.put(single.norm(), "[B, all, " + hidden + "]");
            points.put(single.toQkvMlp(), "[B, all, " + (3 * hidden + 2 * config.mlpHidden()) + "]");
            points.put(single.normQ(), "[B, all, " + perHead);
            points.put(single.normK(), "[B, all, " + perHead);
            points.put(single.attn(), "[B, all, " + hidden + "]");
            points.put(single.out(), "[B, all, " + hidden + "]");
        }
        points.put("norm_out", "[B, img, " + hidden + "]");
        points.put("proj_out", "[B, img, " + config.outChannels() + "]");
        return points;
    }

    private static void side(Map<String, String> points, String block, String tokens, long hidden, long mlpHidden,
            String perHead, String q, String k, String v, String normQ, String normK, String norm1, String norm2, String ff) {
        String row = "[B, " + tokens + ", ";
        for (String point : new String[] {norm1, q, k, v}) {
            points.put(block + point, row + hidden + "]");
        }
        points.put(block + normQ, row + perHead);
        points.put(block + normK, row + perHead);
        points.put(block + "attn." + tokens, row + hidden + "]");
        points.put(block + norm2, row + hidden + "]");
        points.put(block + ff + ".linear_in", row + 2 * mlpHidden + "]");
        points.put(block + ff, row + hidden + "]");
        points.put(block + tokens, row + hidden + "]");
    }
}
