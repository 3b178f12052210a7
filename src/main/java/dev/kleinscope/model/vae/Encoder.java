package dev.kleinscope.model.vae;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** From a picture to the mean of its latents' distribution. Source: diffusers {@code Encoder}. */
final class Encoder {

    private static final GroupNorm.Statistics OWN = GroupNorm.Statistics.OWN;

    private final Conv2d convIn;
    private final List<DownBlock> downBlocks = new ArrayList<>();
    private final MidBlock midBlock;
    private final GroupNorm normOut;
    private final Conv2d convOut;
    private final Conv2d quantConv;
    private final long latentChannels;

    Encoder(VaeWeights weights) {
        VaeConfig config = weights.config();
        List<Integer> widths = config.encoderChannels();
        latentChannels = config.latentChannels();
        convIn = weights.conv3x3(VaePoints.ENCODER_CONV_IN, config.inChannels(), widths.getFirst());
        for (int i = 0; i < widths.size(); i++) {
            downBlocks.add(new DownBlock(weights, VaePoints.downBlock(i), widths.get(Math.max(0, i - 1)), widths.get(i),
                    i == widths.size() - 1));
        }
        midBlock = new MidBlock(weights, VaePoints.ENCODER_MID, widths.getLast());
        normOut = weights.norm(VaePoints.ENCODER_NORM_OUT, widths.getLast());
        convOut = weights.conv3x3(VaePoints.ENCODER_CONV_OUT, widths.getLast(), 2 * latentChannels);
        quantConv = config.quantConv() ? weights.conv1x1(VaePoints.QUANT_CONV, 2 * latentChannels, 2 * latentChannels) : null;
    }

    /** @param image [batch, height, width, 3]. @return [batch, height / 8, width / 8, latentChannels] in the caller's frame */
    Tensor forward(Ops ops, Tensor image, Probes probes) {
        try (Frame frame = ops.frame()) {
            Tensor h = probes.at(VaePoints.ENCODER_CONV_IN, ops.conv2d(image, convIn));
            for (int i = 0; i < downBlocks.size(); i++) {
                Tensor next = probes.at(VaePoints.downBlock(i), downBlocks.get(i).forward(ops, h, OWN));
                h = ResidualBlock.replace(frame, h, next);
            }
            h = ResidualBlock.replace(frame, h, midBlock.forward(ops, h, probes));
            Tensor mid = h;
            probes.side(VaePoints.ENCODER_NORM_OUT, () -> normOut.apply(ops, mid, OWN));
            Tensor moments = probes.at(VaePoints.ENCODER_CONV_OUT, ops.conv2d(normOut.applySilu(ops, mid, OWN), convOut));
            if (quantConv != null) {
                moments = probes.at(VaePoints.QUANT_CONV, ops.conv2d(moments, quantConv));
            }
            Tensor mean = moments.slice(3, 0, latentChannels);
            Tensor out = ops.alloc(new Shape(mean.shape().dims()));
            ops.copy(mean, out);
            return frame.escape(out);
        }
    }
}
