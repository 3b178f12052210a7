package dev.kleinscope.model.clip;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;
import java.util.ArrayList;
import java.util.List;

/** CLIP's text tower with its projection. Source: transformers {@code CLIPTextTransformer}. */
final class ClipText {

    private static final String NAME = "text_model";
    /** A token sees none after it, so that padding on the right changes nothing before the end of the text. */
    private static final AttentionMask CAUSAL = new AttentionMask(true, null);

    private final ClipConfig config;
    private final Tensor tokenEmbedding;
    private final Tensor positionEmbedding;
    private final List<ClipLayer> layers = new ArrayList<>();
    private final ClipNorm finalLayerNorm;
    private final Linear projection;

    ClipText(WeightReader weights, ClipConfig config, Ops ops) {
        this.config = config;
        long hidden = config.text().hidden();
        tokenEmbedding = ops.weight(weights.take(NAME + ".embeddings.token_embedding.weight", config.vocabulary(), hidden));
        positionEmbedding = ops.weight(
                weights.take(NAME + ".embeddings.position_embedding.weight", config.maxPositions(), hidden));
        for (int i = 0; i < config.text().layers(); i++) {
            layers.add(new ClipLayer(weights, ops, NAME + ".encoder.layers." + i, config.text()));
        }
        finalLayerNorm = new ClipNorm(weights, ops, NAME + ".final_layer_norm", config.text());
        projection = new Linear(ops.weight(weights.take("text_projection.weight", config.projection(), hidden)));
    }

    /** @return [batch, projection], not normalised, in the caller's frame */
    Tensor forward(Ops ops, int[][] ids, Probes probes) {
        int tokens = check(ids);
        long hidden = config.text().hidden();
        try (Frame frame = ops.frame()) {
            Tensor x = probes.at(NAME + ".embeddings", embed(ops, ids, tokens));
            for (int i = 0; i < layers.size(); i++) {
                Tensor next = probes.at(NAME + ".encoder.layers." + i, layers.get(i).forward(ops, x, CAUSAL));
                frame.release(x);
                x = next;
            }
            Tensor ends = ops.alloc(Shape.of(ids.length, 1, hidden));
            for (int b = 0; b < ids.length; b++) {
                int end = endOfText(ids[b]);
                ops.copy(x.slice(0, b, b + 1).slice(1, end, end + 1), ends.slice(0, b, b + 1));
            }
            Tensor pooled = finalLayerNorm.forward(ops, ends).reshape(ids.length, hidden);
            return frame.escape(probes.at("text_projection", ops.linear(pooled, projection)));
        }
    }

    private Tensor embed(Ops ops, int[][] ids, int tokens) {
        int[] flat = new int[ids.length * tokens];
        int[] positions = new int[flat.length];
        for (int i = 0; i < flat.length; i++) {
            flat[i] = ids[i / tokens][i % tokens];
            positions[i] = i % tokens;
        }
        try (Frame frame = ops.frame()) {
            Tensor token = ops.alloc(Shape.of(ids.length, tokens, config.text().hidden()));
            ops.embedding(tokenEmbedding, flat, token);
            Tensor position = ops.alloc(token.shape());
            ops.embedding(positionEmbedding, positions, position);
            return frame.escape(ops.addScaled(token, position, 1));
        }
    }

    /** The first position of the end-of-text token. */
    private int endOfText(int[] ids) {
        if (config.eosTokenId() == ClipConfig.LEGACY_EOS) {
            int largest = 0;
            for (int i = 1; i < ids.length; i++) {
                largest = ids[i] > ids[largest] ? i : largest;
            }
            return largest;
        }
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] == config.eosTokenId()) {
                return i;
            }
        }
        throw new IllegalArgumentException("a text of " + ids.length + " tokens has no end-of-text token "
                + config.eosTokenId() + "; tokenizer and CLIP model do not belong together");
    }

    /** The rows' common length. */
    private int check(int[][] ids) {
        if (ids.length == 0 || ids[0].length == 0 || ids[0].length > config.maxPositions()) {
            throw new IllegalArgumentException("expected texts of 1 to " + config.maxPositions() + " tokens, found "
                    + (ids.length == 0 ? "no text" : ids[0].length));
        }
        for (int[] row : ids) {
            if (row.length != ids[0].length) {
                throw new IllegalArgumentException(
                        "token rows of " + ids[0].length + " and " + row.length + " ids; pad them alike");
            }
            for (int id : row) {
                if (id < 0 || id >= config.vocabulary()) {
                    throw new IllegalArgumentException("token id " + id + " is outside the vocabulary of "
                            + config.vocabulary() + "; tokenizer and CLIP model do not belong together");
                }
            }
        }
        return ids[0].length;
    }
}
