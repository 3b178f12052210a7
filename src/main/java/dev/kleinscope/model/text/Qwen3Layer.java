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

    private final String name;
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
        this.name = name;
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
            Tensor h = ops.rmsNorm(x, inputNorm, eps).named(name + ".input_layernorm");
            Tensor qkv = ops.linear(h, qkvProj).named(name + " qkv");
            Tensor q = ops.alloc(x.shape().withLast(qDim)).named(name + " q");
            Tensor k = ops.alloc(x.shape().withLast(kvDim)).named(name + " k");
            ops.rmsNormRope(qkv.slice(2, 0, qDim), qkv.slice(2, qDim, qDim + kvDim), qNorm, kNorm, eps, rope, q, k);
            Tensor v = qkv.slice(2, qDim + kvDim, qDim + 2 * kvDim).named(name + " v");
            Tensor attn = ops.attention(q, k, v, config.heads(), config.kvHeads(), mask).named(name + " attn");
            Tensor attnOut = ops.linear(attn, oProj).named(name + ".self_attn");
            Tensor mid = ops.addScaled(x, attnOut, 1).named(name + " after attention");
            Tensor h2 = ops.rmsNorm(mid, postNorm, eps).named(name + ".post_attention_layernorm");
            Tensor gateUp = ops.linear(h2, gateUpProj).named(name + " gate, up");
            Tensor mlp = ops.swiglu(gateUp.slice(2, 0, config.mlpHidden()),
                    gateUp.slice(2, config.mlpHidden(), 2 * config.mlpHidden())).named(name + " swiglu");
            Tensor mlpOut = ops.linear(mlp, downProj).named(name + ".mlp");
            Tensor out = ops.addScaled(mid, mlpOut, 1).named(name);
            return frame.escape(out);
        }
    }

    private static List<Linear> linears(Ops ops, Tensor... mapped) {
        return ops.weights(List.of(mapped)).stream().map(Linear::new).toList();
    }

    private static Linear linear(WeightReader weights, Ops ops, String name, long out, long in) {
        return new Linear(ops.weight(weights.take(name + ".weight", out, in)));
    }
}
