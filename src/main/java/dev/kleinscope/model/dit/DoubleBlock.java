package dev.kleinscope.model.dit;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;
import java.util.List;
import java.util.stream.Stream;

/**
 * A double-stream block: text and image keep their own weights and meet in one attention.
 * Source: diffusers {@code Flux2TransformerBlock}.
 */
final class DoubleBlock {

    private final String name;
    private final Side img;
    private final Side txt;
    private final String qPoint;
    private final String kPoint;
    private final long heads;
    private final long hidden;

    DoubleBlock(WeightReader weights, Ops ops, String name, DitConfig config) {
        this.name = name;
        heads = config.heads();
        hidden = config.hidden();
        img = new Side(weights, ops, DitPoints.Side.img(name), config);
        txt = new Side(weights, ops, DitPoints.Side.txt(name), config);
        qPoint = DitPoints.q(name);
        kPoint = DitPoints.k(name);
    }

    /** @return the streams after this block, in the caller's frame */
    Streams forward(Ops ops, Streams x, Tensor modImg, Tensor modTxt, Rope rope, Probes probes) {
        long txtTokens = x.txt().dim(1);
        long tokens = x.joint().dim(1);
        try (Frame frame = ops.frame()) {
            Tensor qNormed = ops.alloc(x.joint().shape()).named(qPoint);
            Tensor kNormed = ops.alloc(x.joint().shape()).named(kPoint);
            Tensor qkv = ops.alloc(x.joint().shape().withLast(3 * hidden)).named(name + " qkv");
            img.project(ops, x.img(), modImg, rope.tokens(txtTokens, tokens), x.img(qkv), x.img(qNormed), x.img(kNormed), probes);
            txt.project(ops, x.txt(), modTxt, rope.tokens(0, txtTokens), x.txt(qkv), x.txt(qNormed), x.txt(kNormed), probes);
            Tensor q = probes.at(qPoint, qNormed);
            Tensor k = probes.at(kPoint, kNormed);
            Tensor v = qkv.slice(2, 2 * hidden, 3 * hidden).named(name + " v");

            Tensor attn = ops.attention(q, k, v, heads, heads, AttentionMask.NONE).named(name + " attn");

            Tensor out = ops.alloc(x.joint().shape()).named(name);
            Tensor txtOut = txt.residuals(ops, x.txt(), x.txt(attn), modTxt, x.txt(out), probes);
            Tensor imgOut = img.residuals(ops, x.img(), x.img(attn), modImg, x.img(out), probes);
            return new Streams(frame.escape(out), txtOut, imgOut);
        }
    }

    /** One stream's weights, and the two halves of the block either side of the attention. */
    private static final class Side {

        private final List<Linear> toQkv;
        private final Tensor normQ;
        private final Tensor normK;
        private final Linear toOut;
        private final Linear linearIn;
        private final Linear linearOut;
        private final long hidden;
        private final long mlpHidden;
        private final double eps;
        private final DitPoints.Side points;

        Side(WeightReader weights, Ops ops, DitPoints.Side names, DitConfig config) {
            points = names;
            hidden = config.hidden();
            mlpHidden = config.mlpHidden();
            long headDim = config.headDim();
            eps = config.eps();
            toQkv = ops.weights(Stream.of(names.toQ(), names.toK(), names.toV())
                    .map(name -> weights.take(name + ".weight", hidden, hidden)).toList()).stream().map(Linear::new).toList();
            normQ = ops.weight(weights.take(names.normQ() + ".weight", headDim));
            normK = ops.weight(weights.take(names.normK() + ".weight", headDim));
            toOut = linear(weights, ops, names.toOut(), hidden, hidden);
            linearIn = linear(weights, ops, names.linearIn(), 2 * mlpHidden, hidden);
            linearOut = linear(weights, ops, names.ff() + ".linear_out", hidden, mlpHidden);
        }

        private static Linear linear(WeightReader weights, Ops ops, String name, long out, long in) {
            return new Linear(ops.weight(weights.take(name + ".weight", out, in)));
        }

        /** Normalise, project to q, k and v side by side, normalise the heads of q and k, rotate; into this stream's rows. */
        void project(Ops ops, Tensor x, Tensor mod, Rope rope, Tensor qkv, Tensor qOut, Tensor kOut, Probes probes) {
            Modulation attnMod = Modulation.of(mod, 0, hidden);
            Tensor h = Unfused.modulated(ops, x, attnMod, eps, points.norm1(), probes).named(points.norm1() + " modulated");
            ops.linear(h, toQkv, qkv);
            Tensor q = probes.at(points.toQ(), qkv.slice(2, 0, hidden));
            Tensor k = probes.at(points.toK(), qkv.slice(2, hidden, 2 * hidden));
            probes.at(points.toV(), qkv.slice(2, 2 * hidden, 3 * hidden));
            ops.rmsNormRope(q, k, normQ, normK, eps, rope, qOut, kOut);
            Unfused.normedHeads(ops, q, normQ, eps, rope, qOut, points.normQ(), probes);
            Unfused.normedHeads(ops, k, normK, eps, rope, kOut, points.normK(), probes);
        }

        /** Add the attention's and the MLP's result to the stream. */
        Tensor residuals(Ops ops, Tensor x, Tensor attn, Tensor mod, Tensor out, Probes probes) {
            // one stream after the other in the same memory
            try (Frame _ = ops.frame()) {
                Modulation attnMod = Modulation.of(mod, 0, hidden);
                Modulation mlpMod = Modulation.of(mod, 1, hidden);
                Tensor attnOut = probes.at(points.attn(), ops.linear(attn, toOut));
                Tensor mid = ops.alloc(x.shape()).named(points.out() + " after attention");
                ops.gatedResidual(x, attnMod.gate(), attnOut, mid);
                Tensor h = Unfused.modulated(ops, mid, mlpMod, eps, points.norm2(), probes).named(points.norm2() + " modulated");
                Tensor ab = probes.at(points.linearIn(), ops.linear(h, linearIn));
                Tensor mlp = ops.swiglu(ab.slice(2, 0, mlpHidden), ab.slice(2, mlpHidden, 2 * mlpHidden)).named(points.ff() + " swiglu");
                Tensor mlpOut = probes.at(points.ff(), ops.linear(mlp, linearOut));
                ops.gatedResidual(mid, mlpMod.gate(), mlpOut, out);
                return probes.at(points.out(), out);
            }
        }
    }
}
