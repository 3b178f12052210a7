package dev.kleinscope.model.dit;

import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.Point.Role;
import dev.kleinscope.probe.Point.Rows;
import java.util.ArrayList;
import java.util.List;

/**
 * Names of everything a transformer's forward reports: diffusers' module paths where a module returns it, else names of ours beside
 * them ({@code .img}, {@code .txt}, {@code .attn.img}, {@code .attn.txt}, {@code .attn.q}, {@code .attn.k}).
 */
public final class DitPoints {

    private DitPoints() {
    }

    /** Names within a double block of what belongs to one stream; the modules' are those of their weights. */
    record Side(Rows rows, String norm1, String toQ, String toK, String toV, String normQ, String normK, String attn, String toOut,
            String norm2, String linearIn, String ff, String out) {

        static Side img(String block) {
            return new Side(Rows.IMG, block + ".norm1", block + ".attn.to_q", block + ".attn.to_k", block + ".attn.to_v",
                    block + ".attn.norm_q", block + ".attn.norm_k", block + ".attn.img", block + ".attn.to_out.0", block + ".norm2",
                    block + ".ff.linear_in", block + ".ff", block + ".img");
        }

        static Side txt(String block) {
            return new Side(Rows.TXT, block + ".norm1_context", block + ".attn.add_q_proj", block + ".attn.add_k_proj",
                    block + ".attn.add_v_proj", block + ".attn.norm_added_q", block + ".attn.norm_added_k", block + ".attn.txt",
                    block + ".attn.to_add_out", block + ".norm2_context", block + ".ff_context.linear_in", block + ".ff_context",
                    block + ".txt");
        }
    }

    record Single(String norm, String toQkvMlp, String normQ, String normK, String attn, String out) {

        static Single of(String block) {
            return new Single(block + ".norm", block + ".attn.to_qkv_mlp_proj", block + ".attn.norm_q",
                    block + ".attn.norm_k", block + ".attn", block);
        }
    }

    /** Of a block of either kind: the queries as its attention reads them, normed and rotated, which no module of diffusers returns. */
    static String q(String block) {
        return block + ".attn.q";
    }

    /** Keys likewise. */
    static String k(String block) {
        return block + ".attn.k";
    }

    static String doubleBlock(int index) {
        return "transformer_blocks." + index;
    }

    static String singleBlock(int index) {
        return "single_transformer_blocks." + index;
    }

    /** Every point in the order of computation: the text stream leaves a double block first. */
    public static List<Point> all(DitConfig config) {
        List<Point> points = new ArrayList<>();
        long hidden = config.hidden();
        String perHead = config.heads() + ", " + config.headDim() + "]";
        points.add(new Point("pos_embed.cos", Role.INNER, Rows.JOINT, "[all, " + config.headDim() + "]"));
        points.add(new Point("pos_embed.sin", Role.INNER, Rows.JOINT, "[all, " + config.headDim() + "]"));
        points.add(new Point("time_guidance_embed", Role.INNER, Rows.NONE, "[B, " + hidden + "]"));
        points.add(new Point("double_stream_modulation_img", Role.INNER, Rows.NONE, "[B, " + 6 * hidden + "]"));
        points.add(new Point("double_stream_modulation_txt", Role.INNER, Rows.NONE, "[B, " + 6 * hidden + "]"));
        points.add(new Point("single_stream_modulation", Role.INNER, Rows.NONE, "[B, " + 3 * hidden + "]"));
        points.add(tokens("x_embedder", Role.EMBEDDER, Rows.IMG, hidden + "]"));
        points.add(tokens("context_embedder", Role.EMBEDDER, Rows.TXT, hidden + "]"));
        for (int i = 0; i < config.doubleBlocks(); i++) {
            Side img = Side.img(doubleBlock(i));
            Side txt = Side.txt(doubleBlock(i));
            for (Side side : List.of(img, txt)) {
                Rows rows = side.rows();
                for (String inner : List.of(side.norm1(), side.toQ(), side.toK(), side.toV())) {
                    points.add(tokens(inner, Role.INNER, rows, hidden + "]"));
                }
                points.add(tokens(side.normQ(), Role.INNER, rows, perHead));
                points.add(tokens(side.normK(), Role.INNER, rows, perHead));
            }
            points.add(tokens(q(doubleBlock(i)), Role.ATTENTION_INPUT, Rows.JOINT, hidden + "]"));
            points.add(tokens(k(doubleBlock(i)), Role.ATTENTION_INPUT, Rows.JOINT, hidden + "]"));
            for (Side side : List.of(txt, img)) {
                Rows rows = side.rows();
                points.add(tokens(side.attn(), Role.BRANCH, rows, hidden + "]"));
                points.add(tokens(side.norm2(), Role.INNER, rows, hidden + "]"));
                points.add(tokens(side.linearIn(), Role.INNER, rows, 2 * config.mlpHidden() + "]"));
                points.add(tokens(side.ff(), Role.BRANCH, rows, hidden + "]"));
                points.add(tokens(side.out(), Role.BLOCK, rows, hidden + "]"));
            }
        }
        for (int i = 0; i < config.singleBlocks(); i++) {
            Single single = Single.of(singleBlock(i));
            points.add(tokens(single.norm(), Role.INNER, Rows.JOINT, hidden + "]"));
            points.add(tokens(single.toQkvMlp(), Role.INNER, Rows.JOINT, 3 * hidden + 2 * config.mlpHidden() + "]"));
            points.add(tokens(single.normQ(), Role.INNER, Rows.JOINT, perHead));
            points.add(tokens(single.normK(), Role.INNER, Rows.JOINT, perHead));
            points.add(tokens(q(singleBlock(i)), Role.ATTENTION_INPUT, Rows.JOINT, hidden + "]"));
            points.add(tokens(k(singleBlock(i)), Role.ATTENTION_INPUT, Rows.JOINT, hidden + "]"));
            points.add(tokens(single.attn(), Role.BRANCH, Rows.JOINT, hidden + "]"));
            points.add(tokens(single.out(), Role.BLOCK, Rows.JOINT, hidden + "]"));
        }
        points.add(tokens("norm_out", Role.INNER, Rows.IMG, hidden + "]"));
        points.add(tokens("proj_out", Role.INNER, Rows.IMG, config.outChannels() + "]"));
        return points;
    }

    private static Point tokens(String name, Role role, Rows rows, String width) {
        String count = switch (rows) {
            case IMG -> "img";
            case TXT -> "txt";
            default -> "all";
        };
        return new Point(name, role, rows, "[B, " + count + ", " + width);
    }
}
