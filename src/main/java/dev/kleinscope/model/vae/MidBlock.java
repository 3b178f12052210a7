package dev.kleinscope.model.vae;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Tensor;

/** Residual, attention, residual at the coarsest resolution. Source: diffusers {@code UNetMidBlock2D}. */
final class MidBlock {

    private final String name;
    private final ResidualBlock first;
    private final VaeAttention attention;
    private final ResidualBlock second;

    MidBlock(VaeWeights weights, String name, long channels) {
        this.name = name;
        first = new ResidualBlock(weights, name + ".resnets.0", channels, channels);
        attention = weights.config().midAttention() ? new VaeAttention(weights, name + ".attentions.0", channels) : null;
        second = new ResidualBlock(weights, name + ".resnets.1", channels, channels);
    }

    /** @param x [batch, height, width, channels]. @return alike, in the caller's frame */
    Tensor forward(Ops ops, Tensor x, Probes probes) {
        try (Frame frame = ops.frame()) {
            Tensor h = probes.at(VaePoints.firstResidual(name), first.forward(ops, x, GroupNorm.Statistics.OWN));
            if (attention != null) {
                h = probes.at(VaePoints.attention(name), attention.forward(ops, h));
            }
            return frame.escape(probes.at(name, second.forward(ops, h, GroupNorm.Statistics.OWN)));
        }
    }
}
