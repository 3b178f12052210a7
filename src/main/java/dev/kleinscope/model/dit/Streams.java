package dev.kleinscope.model.dit;

import dev.kleinscope.tensor.Tensor;

/**
 * The residual stream: text rows first, then image rows, in one buffer that both halves view.
 *
 * @param joint [batch, txtTokens + imgTokens, hidden]
 * @param txt [batch, txtTokens, hidden], a view
 * @param img [batch, imgTokens, hidden], a view
 */
record Streams(Tensor joint, Tensor txt, Tensor img) {

    static Streams of(Tensor joint, long txtTokens) {
        return new Streams(joint, joint.slice(1, 0, txtTokens).named(joint.name() + ".txt"),
                joint.slice(1, txtTokens, joint.dim(1)).named(joint.name() + ".img"));
    }

    /** The text rows of {@code other}, which has as many tokens as these streams. */
    Tensor txt(Tensor other) {
        return other.slice(1, 0, txt.dim(1)).named(other.name() + ".txt");
    }

    /** The image rows of {@code other}, which has as many tokens as these streams. */
    Tensor img(Tensor other) {
        return other.slice(1, txt.dim(1), other.dim(1)).named(other.name() + ".img");
    }
}
