package dev.kleinscope.model.text;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;
import java.util.List;

/** One layer of Qwen3: grouped-query attention and SwiGLU, each after an RMSNorm. Source: transformers {@code Qwen3DecoderLayer}. */
final class Qwen3Layer {

    private final Qwen3Config config;
    private final Tensor inputNorm;
    private final List<Linear> qkvProj;
    private final long qDim;
    private final long kvDim;
    private final Tensor qNorm;
    private final Tensor kNorm;
    private final Linear oProj;
    private final Tensor postNorm;
    private final List<Linear> gateUpProj;
    private final Linear downProj;

    Qwen3Layer(WeightReader weights, Ops ops, String name, Qwen3Config config) {
        this.config = config;
        long hidden = config.hidden();
        qDim = config.heads() * config.headDim();
        kvDim = config.kvHeads() * config.headDim();
        inputNorm = ops.weight(weights.take(name + ".input_layernorm.weight", hidden));
        qkvProj = linears(ops, weights.take(name + ".self_attn.q_proj.weight", qDim, hidden),
                weights.take(name + ".self_attn.k_proj.weight", kvDim, hidden),
                weights.take(name + ".self_attn.v_proj.weight", kvDim, hidden));
        qNorm = ops.weight(weights.take(name + ".self_attn.q_norm.weight", config.headDim()));
        kNorm = ops.weight(weights.take(name + ".self_attn.k_norm.weight", config.headDim()));
        oProj = linear(weights, ops, name + ".self_attn.o_proj", hidden, qDim);
        postNorm = ops.weight(weights.take(name + ".post_attention_layernorm.weight", hidden));
        gateUpProj = linears(ops, weights.take(name + ".mlp.gate_proj.weight", config.mlpHidden(), hidden),
                weights.take(name + ".mlp.up_proj.weight", config.mlpHidden(), hidden));
        downProj = linear(weights, ops, name + ".mlp.down_proj", hidden, config.mlpHidden());
    }

    /** @return x [batch, tokens, hidden] after this layer, in the caller's frame */
    Tensor forward(Ops ops, Tensor x, Rope rope, AttentionMask mask) {
        double eps = config.eps();
        try (Frame frame = ops.frame()) {
            Tensor h = ops.rmsNorm(x, inputNorm, eps);
            Tensor qkv = ops.linear(h, qkvProj);
            Tensor q = ops.alloc(x.shape().withLast(qDim));
            Tensor k = ops.alloc(x.shape().withLast(kvDim));
            ops.rmsNormRope(qkv.slice(2, 0, qDim), qkv.slice(2, qDim, qDim + kvDim), qNorm, kNorm, eps, rope, q, k);
            Tensor v = qkv.slice(2, qDim + kvDim, qDim + 2 * kvDim);
            Tensor attn = ops.attention(q, k, v, config.heads(), config.kvHeads(), mask);
            Tensor mid = ops.addScaled(x, ops.linear(attn, oProj), 1);
            Tensor h2 = ops.rmsNorm(mid, postNorm, eps);
            Tensor gateUp = ops.linear(h2, gateUpProj);
            Tensor mlp = ops.swiglu(gateUp.slice(2, 0, config.mlpHidden()),
                    gateUp.slice(2, config.mlpHidden(), 2 * config.mlpHidden()));
            return frame.escape(ops.addScaled(mid, ops.linear(mlp, downProj), 1));
        }
    }

    private static List<Linear> linears(Ops ops, Tensor... mapped) {
        return ops.weights(List.of(mapped)).stream().map(Linear::new).toList();
    }

    private static Linear linear(WeightReader weights, Ops ops, String name, long out, long in) {
        return new Linear(ops.weight(weights.take(name + ".weight", out, in)));
    }
}
