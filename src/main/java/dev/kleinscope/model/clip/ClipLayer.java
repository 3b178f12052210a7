package dev.kleinscope.model.clip;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;

/** One layer of either tower: attention and an MLP, each after a LayerNorm. Source: transformers {@code CLIPEncoderLayer}. */
final class ClipLayer {

    private final ClipConfig.Tower config;
    private final ClipNorm layerNorm1;
    private final Linear qProj;
    private final Linear kProj;
    private final Linear vProj;
    private final Linear outProj;
    private final ClipNorm layerNorm2;
    private final Linear fc1;
    private final Linear fc2;

    ClipLayer(WeightReader weights, Ops ops, String name, ClipConfig.Tower config) {
        this.config = config;
        long hidden = config.hidden();
        layerNorm1 = new ClipNorm(weights, ops, name + ".layer_norm1", config);
        qProj = linear(weights, ops, name + ".self_attn.q_proj", hidden, hidden);
        kProj = linear(weights, ops, name + ".self_attn.k_proj", hidden, hidden);
        vProj = linear(weights, ops, name + ".self_attn.v_proj", hidden, hidden);
        outProj = linear(weights, ops, name + ".self_attn.out_proj", hidden, hidden);
        layerNorm2 = new ClipNorm(weights, ops, name + ".layer_norm2", config);
        fc1 = linear(weights, ops, name + ".mlp.fc1", config.mlpHidden(), hidden);
        fc2 = linear(weights, ops, name + ".mlp.fc2", hidden, config.mlpHidden());
    }

    /** @return x [batch, tokens, hidden] after this layer, in the caller's frame */
    Tensor forward(Ops ops, Tensor x, AttentionMask mask) {
        try (Frame frame = ops.frame()) {
            Tensor h = layerNorm1.forward(ops, x);
            Tensor q = ops.linear(h, qProj);
            Tensor k = ops.linear(h, kProj);
            Tensor v = ops.linear(h, vProj);
            Tensor attn = ops.attention(q, k, v, config.heads(), config.heads(), mask);
            Tensor mid = ops.addScaled(x, ops.linear(attn, outProj), 1);
            Tensor h2 = layerNorm2.forward(ops, mid);
            Tensor mlp = ops.gelu(ops.linear(h2, fc1), config.act());
            return frame.escape(ops.addScaled(mid, ops.linear(mlp, fc2), 1));
        }
    }

    private static Linear linear(WeightReader weights, Ops ops, String name, long out, long in) {
        return new Linear(ops.weight(weights.take(name + ".weight", out, in)), ops.weight(weights.take(name + ".bias", out)));
    }
}
