package dev.kleinscope.model.clip;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;

/** A LayerNorm with weight and bias [hidden]. */
record ClipNorm(Tensor weight, Tensor bias, double eps) {

    ClipNorm(WeightReader weights, Ops ops, String name, ClipConfig.Tower config) {
        this(ops.weight(weights.take(name + ".weight", config.hidden())),
                ops.weight(weights.take(name + ".bias", config.hidden())), config.eps());
    }

    /** @param x [.., hidden] */
    Tensor forward(Ops ops, Tensor x) {
        return ops.layerNormAffine(x, weight, bias, eps);
    }
}
