package dev.kleinscope.model.vae;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Residual blocks, one more than the encoder's, then twice the resolution. Source: diffusers {@code UpDecoderBlock2D}. */
final class UpBlock {

    private final List<ResidualBlock> residuals = new ArrayList<>();
    private final Conv2d upsampler;

    /** @param last whether this block keeps its resolution */
    UpBlock(VaeWeights weights, String name, long in, long out, boolean last) {
        for (int i = 0; i <= weights.config().layersPerBlock(); i++) {
            residuals.add(new ResidualBlock(weights, name + ".resnets." + i, i == 0 ? in : out, out));
        }
        upsampler = last ? null : weights.conv3x3(name + ".upsamplers.0.conv", out, out);
    }

    List<ResidualBlock> residuals() {
        return residuals;
    }

    /** @return [batch, 2 height, 2 width, out] in the caller's frame, or {@code x} itself after the last block */
    Tensor upsample(Ops ops, Tensor x) {
        if (upsampler == null) {
            return x;
        }
        try (Frame frame = ops.frame()) {
            return frame.escape(ops.conv2d(ops.upsampleNearest2x(x), upsampler));
        }
    }
}
