package dev.kleinscope.model.vae;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.Tensor;

/** One head of attention among all pixels, added to the input. Source: diffusers {@code Attention} in {@code UNetMidBlock2D}. */
final class VaeAttention {

    private final String name;
    private final GroupNorm norm;
    private final Linear toQ;
    private final Linear toK;
    private final Linear toV;
    private final Linear toOut;

    VaeAttention(VaeWeights weights, String name, long channels) {
        this.name = name;
        norm = weights.norm(name + ".group_norm", channels);
        toQ = weights.linear(name + ".to_q", channels);
        toK = weights.linear(name + ".to_k", channels);
        toV = weights.linear(name + ".to_v", channels);
        toOut = weights.linear(name + ".to_out.0", channels);
    }

    /** @param x [batch, height, width, channels]. @return alike, in the caller's frame */
    Tensor forward(Ops ops, Tensor x) {
        long tokens = x.dim(1) * x.dim(2);
        try (Frame frame = ops.frame()) {
            Tensor h = norm.apply(ops, x, GroupNorm.Statistics.OWN).reshape(x.dim(0), tokens, x.dim(3));
            Tensor q = ops.linear(h, toQ).named(name + ".to_q");
            Tensor k = ops.linear(h, toK).named(name + ".to_k");
            Tensor v = ops.linear(h, toV).named(name + ".to_v");
            Tensor attn = ops.attention(q, k, v, 1, 1, AttentionMask.NONE).named(name + " attn");
            Tensor update = ops.linear(attn, toOut).reshape(x.shape().dims()).named(name + ".to_out.0");
            Tensor out = ops.addScaled(x, update, 1).named(name);
            return frame.escape(out);
        }
    }
}
