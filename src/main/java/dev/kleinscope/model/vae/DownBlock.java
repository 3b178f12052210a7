package dev.kleinscope.model.vae;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Residual blocks, then half the resolution. Source: diffusers {@code DownEncoderBlock2D}. */
final class DownBlock {

    private final List<ResidualBlock> residuals = new ArrayList<>();
    private final Conv2d downsampler;

    /** @param last whether this block keeps its resolution */
    DownBlock(VaeWeights weights, String name, long in, long out, boolean last) {
        for (int i = 0; i < weights.config().layersPerBlock(); i++) {
            residuals.add(new ResidualBlock(weights, name + ".resnets." + i, i == 0 ? in : out, out));
        }
        downsampler = last ? null : weights.downsampler(name + ".downsamplers.0.conv", out);
    }

    /** @param x [batch, height, width, in]. @return [batch, height / 2, width / 2, out], in the caller's frame */
    Tensor forward(Ops ops, Tensor x, GroupNorm.Statistics statistics) {
        try (Frame frame = ops.frame()) {
            Tensor h = residuals.getFirst().forward(ops, x, statistics);
            for (ResidualBlock residual : residuals.subList(1, residuals.size())) {
                h = ResidualBlock.replace(frame, h, residual.forward(ops, h, statistics));
            }
            return frame.escape(downsampler == null ? h : ops.conv2d(h, downsampler));
        }
    }
}
