package dev.kleinscope.ops;

import dev.kleinscope.tensor.Tensor;

/**
 * A linear layer.
 *
 * @param weight [out, in], any float type; f32 arithmetic
 * @param bias [out], or null
 */
public record Linear(Tensor weight, Tensor bias) {

    public Linear(Tensor weight) {
        this(weight, null);
    }

    public long in() {
        return weight.dim(1);
    }

    public long out() {
        return weight.dim(0);
    }
}
