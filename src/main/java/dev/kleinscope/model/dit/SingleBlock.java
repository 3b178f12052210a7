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
    private final String qPoint;
    private final String kPoint;

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
        qPoint = DitPoints.q(name);
        kPoint = DitPoints.k(name);
    }

    /** @return the streams after this block, in the caller's frame */
    Streams forward(Ops ops, Streams x, Modulation mod, Rope rope, Probes probes) {
        long hidden = config.hidden();
        long mlpHidden = config.mlpHidden();
        double eps = config.eps();
        Tensor joint = x.joint();
        try (Frame frame = ops.frame()) {
            Tensor h = Unfused.modulated(ops, joint, mod, eps, points.norm(), probes).named(points.norm() + " modulated");

            Tensor qkvMlp = probes.at(points.toQkvMlp(), ops.linear(h, toQkvMlp));
            Tensor qRaw = qkvMlp.slice(2, 0, hidden).named(points.out() + " q before norm");
            Tensor kRaw = qkvMlp.slice(2, hidden, 2 * hidden).named(points.out() + " k before norm");
            Tensor v = qkvMlp.slice(2, 2 * hidden, 3 * hidden).named(points.out() + " v");
            Tensor a = qkvMlp.slice(2, 3 * hidden, 3 * hidden + mlpHidden).named(points.out() + " a");
            Tensor b = qkvMlp.slice(2, 3 * hidden + mlpHidden, 3 * hidden + 2 * mlpHidden).named(points.out() + " b");
            Tensor qNormed = ops.alloc(joint.shape()).named(qPoint);
            Tensor kNormed = ops.alloc(joint.shape()).named(kPoint);
            ops.rmsNormRope(qRaw, kRaw, normQ, normK, eps, rope, qNormed, kNormed);
            Unfused.normedHeads(ops, qRaw, normQ, eps, rope, qNormed, points.normQ(), probes);
            Unfused.normedHeads(ops, kRaw, normK, eps, rope, kNormed, points.normK(), probes);
            Tensor q = probes.at(qPoint, qNormed);
            Tensor k = probes.at(kPoint, kNormed);

            Tensor attnMlp = ops.alloc(joint.shape().withLast(hidden + mlpHidden)).named(points.out() + " attn, mlp");
            Tensor attn = attnMlp.slice(2, 0, hidden).named(points.out() + " attn");
            Tensor mlp = attnMlp.slice(2, hidden, hidden + mlpHidden).named(points.out() + " mlp");
            ops.attention(q, k, v, config.heads(), config.heads(), AttentionMask.NONE, attn);
            ops.swiglu(a, b, mlp);
            Tensor blockOut = probes.at(points.attn(), ops.linear(attnMlp, toOut));

            Tensor out = ops.alloc(joint.shape()).named(points.out());
            ops.gatedResidual(joint, mod.gate(), blockOut, out);
            return Streams.of(probes.at(points.out(), frame.escape(out)), x.txt().dim(1));
        }
    }
}
