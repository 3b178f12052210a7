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
 * A double-stream block: text and image keep their own weights and meet in one attention.
 * Source: diffusers {@code Flux2TransformerBlock}.
 */
final class DoubleBlock {

    private final Side img;
    private final Side txt;
    private final long heads;

    DoubleBlock(WeightReader weights, Ops ops, String name, DitConfig config) {
        heads = config.heads();
        img = new Side(weights, ops, name, SideNames.IMG, config);
        txt = new Side(weights, ops, name, SideNames.TXT, config);
    }

    /** @return the streams after this block, in the caller's frame */
    Streams forward(Ops ops, Streams x, Tensor modImg, Tensor modTxt, Rope rope, Probes probes) {
        long txtTokens = x.txt().dim(1);
        long tokens = x.joint().dim(1);
        try (Frame frame = ops.frame()) {
            Streams q = Streams.of(ops.alloc(x.joint().shape()), txtTokens);
            Streams k = Streams.of(ops.alloc(x.joint().shape()), txtTokens);
            Streams v = Streams.of(ops.alloc(x.joint().shape()), txtTokens);
            img.project(ops, x.img(), modImg, rope.tokens(txtTokens, tokens), q.img(), k.img(), v.img(), probes);
            txt.project(ops, x.txt(), modTxt, rope.tokens(0, txtTokens), q.txt(), k.txt(), v.txt(), probes);

            Streams attn = Streams.of(
                    ops.attention(q.joint(), k.joint(), v.joint(), heads, heads, AttentionMask.NONE), txtTokens);

            Streams out = Streams.of(ops.alloc(x.joint().shape()), txtTokens);
            Tensor imgOut = img.residuals(ops, x.img(), attn.img(), modImg, out.img(), probes);
            Tensor txtOut = txt.residuals(ops, x.txt(), attn.txt(), modTxt, out.txt(), probes);
            return new Streams(frame.escape(out.joint()), txtOut, imgOut);
        }
    }

    /** What a stream's modules and points are called under the block. */
    private enum SideNames {
        IMG("attn.to_q", "attn.to_k", "attn.to_v", "attn.norm_q", "attn.norm_k", "attn.to_out.0", "norm1", "norm2", "ff", "img"),
        TXT("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.norm_added_q", "attn.norm_added_k",
                "attn.to_add_out", "norm1_context", "norm2_context", "ff_context", "txt");

        final String toQ;
        final String toK;
        final String toV;
        final String normQ;
        final String normK;
        final String toOut;
        final String norm1;
        final String norm2;
        final String ff;
        final String stream;

        SideNames(String toQ, String toK, String toV, String normQ, String normK, String toOut, String norm1, String norm2,
                String ff, String stream) {
            this.toQ = toQ;
            this.toK = toK;
            this.toV = toV;
            this.normQ = normQ;
            this.normK = normK;
            this.toOut = toOut;
            this.norm1 = norm1;
            this.norm2 = norm2;
            this.ff = ff;
            this.stream = stream;
        }
    }

    /** One stream's weights, and the two halves of the block either side of the attention. */
    private static final class Side {

        private final Linear toQ;
        private final Linear toK;
        private final Linear toV;
        private final Tensor normQ;
        private final Tensor normK;
        private final Linear toOut;
        private final Linear linearIn;
        private final Linear linearOut;
        private final long heads;
        private final long headDim;
        private final long hidden;
        private final long mlpHidden;
        private final double eps;
        private final DitPoints.Side points;

        Side(WeightReader weights, Ops ops, String block, SideNames names, DitConfig config) {
            hidden = config.hidden();
            mlpHidden = config.mlpHidden();
            heads = config.heads();
            headDim = config.headDim();
            eps = config.eps();
            String prefix = block + ".";
            toQ = new Linear(ops.weight(weights.take(prefix + names.toQ + ".weight", hidden, hidden)));
            toK = new Linear(ops.weight(weights.take(prefix + names.toK + ".weight", hidden, hidden)));
            toV = new Linear(ops.weight(weights.take(prefix + names.toV + ".weight", hidden, hidden)));
            normQ = ops.weight(weights.take(prefix + names.normQ + ".weight", headDim));
            normK = ops.weight(weights.take(prefix + names.normK + ".weight", headDim));
            toOut = new Linear(ops.weight(weights.take(prefix + names.toOut + ".weight", hidden, hidden)));
            linearIn = new Linear(ops.weight(weights.take(prefix + names.ff + ".linear_in.weight", 2 * mlpHidden, hidden)));
            linearOut = new Linear(ops.weight(weights.take(prefix + names.ff + ".linear_out.weight", hidden, mlpHidden)));
            points = new DitPoints.Side(prefix + names.norm1, prefix + names.toQ, prefix + names.toK, prefix + names.toV,
                    prefix + names.normQ, prefix + names.normK, prefix + "attn." + names.stream, prefix + names.norm2,
                    prefix + names.ff + ".linear_in", prefix + names.ff, prefix + names.stream);
        }

        /** Normalise, project to q, k and v, normalise the heads, rotate; results go to this stream's rows. */
        void project(Ops ops, Tensor x, Tensor mod, Rope rope, Tensor qOut, Tensor kOut, Tensor vOut, Probes probes) {
            Modulation attnMod = Modulation.of(mod, 0, hidden);
            probes.side(points.norm1(), () -> ops.layerNorm(x, eps));
            Tensor h = ops.layerNormModulate(x, attnMod.scale(), attnMod.shift(), eps);
            Tensor q = probes.at(points.toQ(), ops.linear(h, toQ));
            Tensor k = probes.at(points.toK(), ops.linear(h, toK));
            ops.linear(h, toV, vOut);
            probes.at(points.toV(), vOut);
            probes.side(points.normQ(), () -> perHead(ops.rmsNorm(q, normQ, eps)));
            probes.side(points.normK(), () -> perHead(ops.rmsNorm(k, normK, eps)));
            ops.rmsNormRope(q, normQ, eps, rope, qOut);
            ops.rmsNormRope(k, normK, eps, rope, kOut);
        }

        /** Add the attention's and the MLP's result to the stream. */
        Tensor residuals(Ops ops, Tensor x, Tensor attn, Tensor mod, Tensor out, Probes probes) {
            Modulation attnMod = Modulation.of(mod, 0, hidden);
            Modulation mlpMod = Modulation.of(mod, 1, hidden);
            Tensor attnOut = probes.at(points.attn(), ops.linear(attn, toOut));
            Tensor mid = ops.alloc(x.shape());
            ops.gatedResidual(x, attnMod.gate(), attnOut, mid);
            probes.side(points.norm2(), () -> ops.layerNorm(mid, eps));
            Tensor h = ops.layerNormModulate(mid, mlpMod.scale(), mlpMod.shift(), eps);
            Tensor ab = probes.at(points.linearIn(), ops.linear(h, linearIn));
            Tensor mlp = ops.swiglu(ab.slice(2, 0, mlpHidden), ab.slice(2, mlpHidden, 2 * mlpHidden));
            Tensor mlpOut = probes.at(points.ff(), ops.linear(mlp, linearOut));
            ops.gatedResidual(mid, mlpMod.gate(), mlpOut, out);
            return probes.at(points.out(), out);
        }

        private Tensor perHead(Tensor x) {
            return x.reshape(x.dim(0), x.dim(1), heads, headDim);
        }
    }
}
