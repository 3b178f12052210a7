package dev.kleinscope.model.text;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;

/** One layer of Qwen3: grouped-query attention and SwiGLU, each after an RMSNorm. Source: transformers {@code Qwen3DecoderLayer}. */
final class Qwen3Layer {

    private final Qwen3Config config;
    private final Tensor inputNorm;
    private final Linear qProj;
    private final Linear kProj;
    private final Linear vProj;
    private final Tensor qNorm;
    private final Tensor kNorm;
    private final Linear oProj;
    private final Tensor postNorm;
    private final Linear gateProj;
    private final Linear upProj;
    private final Linear downProj;

    Qwen3Layer(WeightReader weights, Ops ops, String name, Qwen3Config config) {
        this.config = config;
        long hidden = config.hidden();
        long qDim = config.heads() * config.headDim();
        long kvDim = config.kvHeads() * config.headDim();
        inputNorm = ops.weight(weights.take(name + ".input_layernorm.weight", hidden));
        qProj = linear(weights, ops, name + ".self_attn.q_proj", qDim, hidden);
        kProj = linear(weights, ops, name + ".self_attn.k_proj", kvDim, hidden);
        vProj = linear(weights, ops, name + ".self_attn.v_proj", kvDim, hidden);
        qNorm = ops.weight(weights.take(name + ".self_attn.q_norm.weight", config.headDim()));
        kNorm = ops.weight(weights.take(name + ".self_attn.k_norm.weight", config.headDim()));
        oProj = linear(weights, ops, name + ".self_attn.o_proj", hidden, qDim);
        postNorm = ops.weight(weights.take(name + ".post_attention_layernorm.weight", hidden));
        gateProj = linear(weights, ops, name + ".mlp.gate_proj", config.mlpHidden(), hidden);
        upProj = linear(weights, ops, name + ".mlp.up_proj", config.mlpHidden(), hidden);
        downProj = linear(weights, ops, name + ".mlp.down_proj", hidden, config.mlpHidden());
    }

    /** @return x [batch, tokens, hidden] after this layer, in the caller's frame */
    Tensor forward(Ops ops, Tensor x, Rope rope, AttentionMask mask) {
        double eps = config.eps();
        try (Frame frame = ops.frame()) {
            Tensor h = ops.rmsNorm(x, inputNorm, eps);
            Tensor q = ops.rmsNormRope(ops.linear(h, qProj), qNorm, eps, rope);
            Tensor k = ops.rmsNormRope(ops.linear(h, kProj), kNorm, eps, rope);
            Tensor v = ops.linear(h, vProj);
            Tensor attn = ops.attention(q, k, v, config.heads(), config.kvHeads(), mask);
            Tensor mid = ops.addScaled(x, ops.linear(attn, oProj), 1);
            Tensor h2 = ops.rmsNorm(mid, postNorm, eps);
            Tensor mlp = ops.swiglu(ops.linear(h2, gateProj), ops.linear(h2, upProj));
            return frame.escape(ops.addScaled(mid, ops.linear(mlp, downProj), 1));
        }
    }

    private static Linear linear(WeightReader weights, Ops ops, String name, long out, long in) {
        return new Linear(ops.weight(weights.take(name + ".weight", out, in)));
    }
}
