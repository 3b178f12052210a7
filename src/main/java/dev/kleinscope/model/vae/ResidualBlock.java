package dev.kleinscope.model.vae;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.Tensor;

/** Twice (GroupNorm, SiLU, 3x3), added to the input. Source: diffusers {@code ResnetBlock2D} without time embedding. */
final class ResidualBlock {

    private final String name;
    private final GroupNorm norm1;
    private final Conv2d conv1;
    private final GroupNorm norm2;
    private final Conv2d conv2;
    private final Conv2d shortcut;

    ResidualBlock(VaeWeights weights, String name, long in, long out) {
        this.name = name;
        norm1 = weights.norm(name + ".norm1", in);
        conv1 = weights.conv3x3(name + ".conv1", in, out);
        norm2 = weights.norm(name + ".norm2", out);
        conv2 = weights.conv3x3(name + ".conv2", out, out);
        shortcut = in == out ? null : weights.conv1x1(name + ".conv_shortcut", in, out);
    }

    /** @param x [batch, height, width, in]. @return [batch, height, width, out], in the caller's frame */
    Tensor forward(Ops ops, Tensor x, GroupNorm.Statistics statistics) {
        try (Frame frame = ops.frame()) {
            Tensor h = norm1.applySilu(ops, x, statistics);
            h = replace(frame, h, ops.conv2d(h, conv1).named(name + ".conv1"));
            h = replace(frame, h, norm2.applySilu(ops, h, statistics));
            if (shortcut == null) {
                return frame.escape(ops.conv2dAdded(h, conv2, x).named(name));
            }
            h = replace(frame, h, ops.conv2d(h, conv2).named(name + ".conv2"));
            return frame.escape(ops.conv2dAdded(x, shortcut, h).named(name));
        }
    }

    /** Pictures are large: what has been used goes back to the pool at once. */
    static Tensor replace(Frame frame, Tensor used, Tensor next) {
        frame.release(used);
        return next;
    }
}
