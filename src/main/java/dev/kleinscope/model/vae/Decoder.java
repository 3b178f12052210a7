package dev.kleinscope.model.vae;

import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * From latents to a picture, in parts, so that the large ones can be computed tile by tile: {@link #middle}, then
 * {@link #stage} for each block, then {@link #finish}. Source: diffusers {@code Decoder}.
 */
public final class Decoder {

    private final Conv2d postQuantConv;
    private final Conv2d convIn;
    private final MidBlock midBlock;
    private final List<UpBlock> upBlocks = new ArrayList<>();
    private final GroupNorm normOut;
    private final Conv2d convOut;

    Decoder(VaeWeights weights) {
        VaeConfig config = weights.config();
        List<Integer> widths = config.decoderChannels().reversed();
        long latents = config.latentChannels();
        postQuantConv = config.postQuantConv() ? weights.conv1x1(VaePoints.POST_QUANT_CONV, latents, latents) : null;
        convIn = weights.conv3x3(VaePoints.DECODER_CONV_IN, latents, widths.getFirst());
        midBlock = new MidBlock(weights, VaePoints.DECODER_MID, widths.getFirst());
        for (int i = 0; i < widths.size(); i++) {
            upBlocks.add(new UpBlock(weights, VaePoints.upBlock(i), widths.get(Math.max(0, i - 1)), widths.get(i),
                    i == widths.size() - 1));
        }
        normOut = weights.norm(VaePoints.DECODER_NORM_OUT, widths.getLast());
        convOut = weights.conv3x3(VaePoints.DECODER_CONV_OUT, widths.getLast(), config.outChannels());
    }

    /** @param latents [batch, height, width, latentChannels]. @return [batch, height, width, coarsest width], in the caller's frame */
    public Tensor middle(Ops ops, Tensor latents, Probes probes) {
        try (Frame frame = ops.frame()) {
            Tensor z = postQuantConv == null ? latents
                    : probes.at(VaePoints.POST_QUANT_CONV, ops.conv2d(latents, postQuantConv));
            Tensor h = probes.at(VaePoints.DECODER_CONV_IN, ops.conv2d(z, convIn));
            return frame.escape(midBlock.forward(ops, h, probes));
        }
    }

    /**
     * What leads from one block's residual blocks to the next one's: upsampling, but for the first, and the residual blocks.
     *
     * @param index of the block, from 0
     * @param x what the stage before returned, or for stage 0 {@link #middle}
     * @return in the caller's frame
     */
    public Tensor stage(Ops ops, int index, Tensor x, GroupNorm.Statistics statistics, Probes probes) {
        try (Frame frame = ops.frame()) {
            Tensor h = x;
            if (index > 0) {
                h = probes.at(VaePoints.upBlock(index - 1), upBlocks.get(index - 1).upsample(ops, x));
            }
            for (ResidualBlock residual : upBlocks.get(index).residuals()) {
                Tensor next = residual.forward(ops, h, statistics);
                if (h.storage() != x.storage()) {
                    frame.release(h);
                }
                h = next;
            }
            return frame.escape(h);
        }
    }

    /** @param x what the last stage returned. @return [batch, height, width, 3], about -1 to 1, in the caller's frame */
    public Tensor finish(Ops ops, Tensor x, GroupNorm.Statistics statistics, Probes probes) {
        try (Frame frame = ops.frame()) {
            Tensor h = probes.at(VaePoints.upBlock(upBlocks.size() - 1), x);
            probes.side(VaePoints.DECODER_NORM_OUT, () -> normOut.apply(ops, h, statistics));
            return frame.escape(probes.at(VaePoints.DECODER_CONV_OUT, ops.conv2d(normOut.applySilu(ops, h, statistics), convOut)));
        }
    }

    Tensor forward(Ops ops, Tensor latents, Probes probes) {
        try (Frame frame = ops.frame()) {
            Tensor h = middle(ops, latents, probes);
            for (int i = 0; i < upBlocks.size(); i++) {
                h = ResidualBlock.replace(frame, h, stage(ops, i, h, GroupNorm.Statistics.OWN, probes));
            }
            return frame.escape(finish(ops, h, GroupNorm.Statistics.OWN, probes));
        }
    }
}
