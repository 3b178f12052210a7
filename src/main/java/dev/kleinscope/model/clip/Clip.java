package dev.kleinscope.model.clip;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.WeightReader;
import dev.kleinscope.weights.WeightSource;
import java.util.ArrayList;
import java.util.List;

/**
 * CLIP: texts and images as vectors of one space, whose cosine tells how well they fit.
 * Source: transformers {@code modeling_clip.py}, {@code CLIPModel}.
 */
public final class Clip {

    private final ClipConfig config;
    private final ClipText text;
    private final ClipVision vision;
    private final double logitScale;

    /** @throws ModelException naming the weight that is missing, extra or misshapen */
    public Clip(WeightSource source, ClipConfig config, Ops ops) {
        this.config = config;
        WeightReader weights = new WeightReader(source);
        text = new ClipText(weights, config, ops);
        vision = new ClipVision(weights, config, ops);
        logitScale = Math.exp(weights.take("logit_scale").toHost().values()[0]);
        // older files carry the indices of the positions, which are 0, 1, 2, ...
        weights.finish(name -> name.endsWith(".position_ids"));
    }

    public ClipConfig config() {
        return config;
    }

    /** What a cosine is multiplied by to give {@code logits_per_image}: the exponential of the weight of that name. */
    public double logitScale() {
        return logitScale;
    }

    /** Points this model reports, in the order of the text, then the image; transformers' module paths. */
    public static PointCatalog points(ClipConfig config) {
        List<Point> points = new ArrayList<>();
        String txt = "[B, txt, " + config.text().hidden() + "]";
        points.add(new Point("text_model.embeddings", Point.Role.EMBEDDER, Point.Rows.TXT, txt));
        for (int i = 0; i < config.text().layers(); i++) {
            points.add(new Point("text_model.encoder.layers." + i, Point.Role.BLOCK, Point.Rows.TXT, txt));
        }
        points.add(new Point("text_projection", Point.Role.INNER, Point.Rows.NONE, "[B, " + config.projection() + "]"));
        String img = "[B, 1 + img, " + config.vision().hidden() + "]";
        points.add(new Point("vision_model.pre_layrnorm", Point.Role.EMBEDDER, Point.Rows.IMG, img));
        for (int i = 0; i < config.vision().layers(); i++) {
            points.add(new Point("vision_model.encoder.layers." + i, Point.Role.BLOCK, Point.Rows.IMG, img));
        }
        points.add(new Point("visual_projection", Point.Role.INNER, Point.Rows.NONE, "[B, " + config.projection() + "]"));
        return new PointCatalog(points);
    }

    /** {@link #textEmbeds(Ops, int[][], Probes)}, unwatched. */
    public HostTensor textEmbeds(Ops ops, int[][] ids) {
        return textEmbeds(ops, ids, Probes.NONE);
    }

    /**
     * Texts as unit vectors.
     *
     * @param ids [batch][tokens], with start and end of text, padded on the right
     * @return [batch, projection]
     * @throws IllegalArgumentException for ids outside the vocabulary, rows of unequal length or without an end
     */
    public HostTensor textEmbeds(Ops ops, int[][] ids, Probes probes) {
        try (Frame _ = ops.frame()) {
            return normalized("text_embeds", text.forward(ops, ids, probes).toHost());
        }
    }

    /** {@link #imageEmbeds(Ops, HostTensor, Probes)}, unwatched. */
    public HostTensor imageEmbeds(Ops ops, HostTensor pixelValues) {
        return imageEmbeds(ops, pixelValues, Probes.NONE);
    }

    /**
     * Images as unit vectors.
     *
     * @param pixelValues [batch, 3, imageSize, imageSize], as the preprocessor makes them
     * @return [batch, projection]
     * @throws IllegalArgumentException on another shape
     */
    public HostTensor imageEmbeds(Ops ops, HostTensor pixelValues, Probes probes) {
        try (Frame _ = ops.frame()) {
            return normalized("image_embeds", vision.forward(ops, pixelValues, probes).toHost());
        }
    }

    /** Each row divided by its L2 norm, which is accumulated in f64. */
    private static HostTensor normalized(String name, HostTensor rows) {
        int width = Math.toIntExact(rows.shape().dim(-1));
        float[] values = rows.values().clone();
        for (int from = 0; from < values.length; from += width) {
            double squares = 0;
            for (int i = from; i < from + width; i++) {
                squares += (double) values[i] * values[i];
            }
            double norm = Math.sqrt(squares);
            for (int i = from; i < from + width; i++) {
                values[i] = (float) (values[i] / norm);
            }
        }
        return new HostTensor(name, rows.shape(), values);
    }
}
