package dev.kleinscope.model.dit;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;

/**
 * A single-stream block: attention and MLP run side by side on [txt | img], with one projection in and one out.
 * Source: diffusers {@code Flux2SingleTransformerBlock}.
 */
final class SingleBlock {

    private final Linear toQkvMlp;
    private final Linear toOut;
    private final Tensor normQ;
    private final Tensor normK;
    private final DitConfig config;
    private final DitPoints.Single points;

    SingleBlock(WeightReader weights, Ops ops, String name, DitConfig config) {
        this.config = config;
        long hidden = config.hidden();
        long mlpHidden = config.mlpHidden();
        toQkvMlp = new Linear(ops.weight(
                weights.take(name + ".attn.to_qkv_mlp_proj.weight", 3 * hidden + 2 * mlpHidden, hidden)));
        toOut = new Linear(ops.weight(weights.take(name + ".attn.to_out.weight", hidden, hidden + mlpHidden)));
        normQ = ops.weight(weights.take(name + ".attn.norm_q.weight", config.headDim()));
        normK = ops.weight(weights.take(name + ".attn.norm_k.weight", config.headDim()));
        points = DitPoints.Single.of(name);
    }

    /** @return the streams after this block, in the caller's frame */
    Streams forward(Ops ops, Streams x, Modulation mod, Rope rope, Probes probes) {
        long hidden = config.hidden();
        long mlpHidden = config.mlpHidden();
        double eps = config.eps();
        Tensor joint = x.joint();
        try (Frame frame = ops.frame()) {
            Tensor h = Unfused.modulated(ops, joint, mod, eps, points.norm(), probes);

            Tensor qkvMlp = probes.at(points.toQkvMlp(), ops.linear(h, toQkvMlp));
            Tensor qRaw = qkvMlp.slice(2, 0, hidden);
            Tensor kRaw = qkvMlp.slice(2, hidden, 2 * hidden);
            Tensor v = qkvMlp.slice(2, 2 * hidden, 3 * hidden);
            Tensor a = qkvMlp.slice(2, 3 * hidden, 3 * hidden + mlpHidden);
            Tensor b = qkvMlp.slice(2, 3 * hidden + mlpHidden, 3 * hidden + 2 * mlpHidden);
            Tensor q = ops.alloc(joint.shape());
            Tensor k = ops.alloc(joint.shape());
            ops.rmsNormRope(qRaw, kRaw, normQ, normK, eps, rope, q, k);
            Unfused.normedHeads(ops, qRaw, normQ, eps, rope, q, points.normQ(), probes);
            Unfused.normedHeads(ops, kRaw, normK, eps, rope, k, points.normK(), probes);

            Tensor attnMlp = ops.alloc(joint.shape().withLast(hidden + mlpHidden));
            ops.attention(q, k, v, config.heads(), config.heads(), AttentionMask.NONE, attnMlp.slice(2, 0, hidden));
            ops.swiglu(a, b, attnMlp.slice(2, hidden, hidden + mlpHidden));
            Tensor blockOut = probes.at(points.attn(), ops.linear(attnMlp, toOut));

            Tensor out = ops.alloc(joint.shape());
            ops.gatedResidual(joint, mod.gate(), blockOut, out);
            return Streams.of(probes.at(points.out(), frame.escape(out)), x.txt().dim(1));
        }
    }
}
