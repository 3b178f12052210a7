package dev.kleinscope.model.vae;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.Tensor;

/**
 * A GroupNorm of the autoencoder.
 *
 * @param name diffusers' module path
 * @param weight [channels]
 * @param bias [channels]
 * @param groups groups of neighbouring channels
 */
public record GroupNorm(String name, Tensor weight, Tensor bias, long groups) {

    /** Where the means and variances come from. A picture computed in tiles is normalised alike in all of them. */
    public interface Statistics {

        /** The picture's own, as the model was trained. */
        Statistics OWN = (ops, norm, x) -> ops.groupMoments(x, norm.groups());

        /**
         * @param x [batch, height, width, channels]: what is about to be normalised
         * @return [batch or 1, 2, groups], in the innermost frame
         */
        Tensor of(Ops ops, GroupNorm norm, Tensor x);
    }

    Tensor apply(Ops ops, Tensor x, Statistics statistics) {
        return apply(ops, x, statistics, false);
    }

    Tensor applySilu(Ops ops, Tensor x, Statistics statistics) {
        return apply(ops, x, statistics, true);
    }

    private Tensor apply(Ops ops, Tensor x, Statistics statistics, boolean silu) {
        Tensor moments = statistics.of(ops, this, x);
        Tensor out = ops.alloc(x.shape()).named(silu ? name + " silu" : name);
        ops.groupNorm(x, moments, weight, bias, VaeConfig.NORM_EPS, silu, out);
        return out;
    }
}
