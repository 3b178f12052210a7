package dev.kleinscope.model.vae;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Conv2d.Padding;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.weights.WeightReader;

/** How the autoencoder's blocks take their layers from a checkpoint onto a backend. */
record VaeWeights(WeightReader reader, Ops ops, VaeConfig config) {

    /** A 3x3 convolution of stride 1 that keeps a picture's size. */
    Conv2d conv3x3(String name, long in, long out) {
        return conv(name, in, out, 3, 1, Padding.around(1));
    }

    Conv2d conv1x1(String name, long in, long out) {
        return conv(name, in, out, 1, 1, Padding.NONE);
    }

    /** A 3x3 convolution that halves a picture, which gets zeros on its right and at its bottom only. */
    Conv2d downsampler(String name, long channels) {
        return conv(name, channels, channels, 3, 2, new Padding(0, 0, 1, 1));
    }

    private Conv2d conv(String name, long in, long out, long size, long stride, Padding padding) {
        return new Conv2d(ops.convWeight(reader.take(name + ".weight", out, in, size, size)),
                ops.weight(reader.take(name + ".bias", out)), stride, padding);
    }

    Linear linear(String name, long channels) {
        return new Linear(ops.weight(reader.take(name + ".weight", channels, channels)),
                ops.weight(reader.take(name + ".bias", channels)));
    }

    GroupNorm norm(String name, long channels) {
        return new GroupNorm(name, ops.weight(reader.take(name + ".weight", channels)),
                ops.weight(reader.take(name + ".bias", channels)), config.normGroups());
    }
}
