package dev.kleinscope.model.vae;

import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.Point.Role;
import dev.kleinscope.probe.Point.Rows;
import java.util.ArrayList;
import java.util.List;

/** Names of everything the autoencoder reports, as diffusers' module paths. Tensors are [batch, height, width, channels]. */
public final class VaePoints {

    static final String ENCODER_CONV_IN = "encoder.conv_in";
    static final String ENCODER_MID = "encoder.mid_block";
    static final String ENCODER_NORM_OUT = "encoder.conv_norm_out";
    static final String ENCODER_CONV_OUT = "encoder.conv_out";
    static final String QUANT_CONV = "quant_conv";
    static final String POST_QUANT_CONV = "post_quant_conv";
    static final String DECODER_CONV_IN = "decoder.conv_in";
    static final String DECODER_MID = "decoder.mid_block";
    static final String DECODER_NORM_OUT = "decoder.conv_norm_out";
    static final String DECODER_CONV_OUT = "decoder.conv_out";

    private VaePoints() {
    }

    static String downBlock(int index) {
        return "encoder.down_blocks." + index;
    }

    static String upBlock(int index) {
        return "decoder.up_blocks." + index;
    }

    static String firstResidual(String midBlock) {
        return midBlock + ".resnets.0";
    }

    static String attention(String midBlock) {
        return midBlock + ".attentions.0";
    }

    /** Every point of an encoding, in the order of computation; h and w are the latents' height and width. */
    public static List<Point> encoder(VaeConfig config) {
        List<Integer> widths = config.encoderChannels();
        List<Point> points = new ArrayList<>();
        points.add(point(ENCODER_CONV_IN, Role.INNER, config.scale(), widths.getFirst()));
        for (int i = 0; i < widths.size(); i++) {
            points.add(point(downBlock(i), Role.BLOCK, Math.max(1, config.scale() >> (i + 1)), widths.get(i)));
        }
        addMiddle(points, ENCODER_MID, config.midAttention(), widths.getLast());
        points.add(point(ENCODER_NORM_OUT, Role.INNER, 1, widths.getLast()));
        points.add(point(ENCODER_CONV_OUT, Role.INNER, 1, 2 * config.latentChannels()));
        if (config.quantConv()) {
            points.add(point(QUANT_CONV, Role.INNER, 1, 2 * config.latentChannels()));
        }
        return points;
    }

    /** Every point of a decoding, in the order of computation. */
    public static List<Point> decoder(VaeConfig config) {
        List<Integer> widths = config.decoderChannels().reversed();
        List<Point> points = new ArrayList<>();
        if (config.postQuantConv()) {
            points.add(point(POST_QUANT_CONV, Role.INNER, 1, config.latentChannels()));
        }
        points.add(point(DECODER_CONV_IN, Role.INNER, 1, widths.getFirst()));
        addMiddle(points, DECODER_MID, config.midAttention(), widths.getFirst());
        for (int i = 0; i < widths.size(); i++) {
            points.add(point(upBlock(i), Role.BLOCK, Math.min(config.scale(), 2 << i), widths.get(i)));
        }
        points.add(point(DECODER_NORM_OUT, Role.INNER, config.scale(), widths.getLast()));
        points.add(point(DECODER_CONV_OUT, Role.INNER, config.scale(), config.outChannels()));
        return points;
    }

    private static void addMiddle(List<Point> points, String name, boolean attention, long width) {
        points.add(point(firstResidual(name), Role.INNER, 1, width));
        if (attention) {
            points.add(point(attention(name), Role.INNER, 1, width));
        }
        points.add(point(name, Role.BLOCK, 1, width));
    }

    private static Point point(String name, Role role, long scale, long channels) {
        String factor = scale == 1 ? "" : scale + " ";
        return new Point(name, role, Rows.NONE, "[B, " + factor + "h, " + factor + "w, " + channels + "]");
    }
}
