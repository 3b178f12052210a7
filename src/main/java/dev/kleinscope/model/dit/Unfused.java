package dev.kleinscope.model.dit;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Tensor;
import java.util.function.Consumer;

/**
 * Values that joined operations never write down. Unwatched they are not computed; watched, they are computed beside. Where one is
 * changed, what the model computed from the unchanged value is corrected by the change, on which it depends linearly: so a change of
 * nothing changes no bit.
 */
final class Unfused {

    private Unfused() {
    }

    /** {@code (1 + scale) * LayerNorm(x) + shift}, the LayerNorm being seen at {@code point}; x [batch, tokens, hidden]. */
    static Tensor modulated(Ops ops, Tensor x, Modulation mod, double eps, String point, Probes probes) {
        if (!probes.changes(point)) {
            probes.side(point, () -> ops.layerNorm(x, eps));
            return ops.layerNormModulate(x, mod.scale(), mod.shift(), eps);
        }
        Tensor h = ops.layerNormModulate(x, mod.scale(), mod.shift(), eps);
        Tensor change = change(ops, ops.layerNorm(x, eps), normed -> probes.at(point, normed));
        Tensor corrected = ops.alloc(h.shape());
        ops.gatedResidual(ops.addScaled(h, change, 1), mod.scale(), change, corrected);
        return corrected;
    }

    /**
     * Shows the normalised heads of x before their rotation and, where they are changed, corrects the rotated ones.
     *
     * @param x queries or keys [batch, tokens, heads * headDim]
     * @param weight of the RMSNorm [headDim]
     * @param rotated what {@link Ops#rmsNormRope} made of x
     */
    static void normedHeads(Ops ops, Tensor x, Tensor weight, double eps, Rope rope, Tensor rotated, String point, Probes probes) {
        if (!probes.wants(point)) {
            return;
        }
        Tensor normed = ops.rmsNorm(x, weight, eps);
        long headDim = weight.dim(0);
        Tensor heads = normed.reshape(x.dim(0), x.dim(1), x.dim(2) / headDim, headDim);
        if (!probes.changes(point)) {
            probes.at(point, heads);
            return;
        }
        Tensor change = change(ops, normed, _ -> probes.at(point, heads));
        Tensor turned = ops.alloc(x.shape());
        ops.rotate(change, rope, turned);
        Tensor before = ops.alloc(x.shape());
        ops.copy(rotated, before);
        ops.addScaled(before, turned, 1, rotated);
    }

    /** What {@code report} added to a value. */
    private static Tensor change(Ops ops, Tensor value, Consumer<Tensor> report) {
        Tensor before = ops.alloc(value.shape());
        ops.copy(value, before);
        report.accept(value);
        return ops.addScaled(value, before, -1);
    }
}
