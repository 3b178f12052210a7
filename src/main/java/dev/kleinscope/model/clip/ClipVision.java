package dev.kleinscope.model.clip;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;
import java.util.ArrayList;
import java.util.List;

/** CLIP's vision tower with its projection. Source: transformers {@code CLIPVisionTransformer}. */
final class ClipVision {

    private static final String NAME = "vision_model";

    private final ClipConfig config;
    private final Linear patchEmbedding;
    private final Tensor classEmbedding;
    private final Tensor positionEmbedding;
    private final ClipNorm preLayerNorm;
    private final List<ClipLayer> layers = new ArrayList<>();
    private final ClipNorm postLayerNorm;
    private final Linear projection;

    ClipVision(WeightReader weights, ClipConfig config, Ops ops) {
        this.config = config;
        long hidden = config.vision().hidden();
        int side = config.patchSize();
        String embeddings = NAME + ".embeddings.";
        // a convolution whose stride is its kernel's size is a linear layer over patches
        patchEmbedding = new Linear(ops.weight(weights.take(embeddings + "patch_embedding.weight", hidden, 3, side, side)
                .reshape(hidden, 3L * side * side)));
        classEmbedding = ops.weight(weights.take(embeddings + "class_embedding", hidden).reshape(1, hidden));
        positionEmbedding = ops.weight(
                weights.take(embeddings + "position_embedding.weight", config.patches() + 1, hidden));
        // spelled so in every checkpoint
        preLayerNorm = new ClipNorm(weights, ops, NAME + ".pre_layrnorm", config.vision());
        for (int i = 0; i < config.vision().layers(); i++) {
            layers.add(new ClipLayer(weights, ops, NAME + ".encoder.layers." + i, config.vision()));
        }
        postLayerNorm = new ClipNorm(weights, ops, NAME + ".post_layernorm", config.vision());
        projection = new Linear(ops.weight(weights.take("visual_projection.weight", config.projection(), hidden)));
    }

    /** @return [batch, projection], not normalised, in the caller's frame */
    Tensor forward(Ops ops, HostTensor pixelValues, Probes probes) {
        int batch = check(pixelValues);
        long hidden = config.vision().hidden();
        try (Frame frame = ops.frame()) {
            Tensor embedded = embed(ops, pixelValues, batch);
            Tensor x = probes.at(NAME + ".pre_layrnorm", preLayerNorm.forward(ops, embedded));
            frame.release(embedded);
            for (int i = 0; i < layers.size(); i++) {
                Tensor next = probes.at(NAME + ".encoder.layers." + i, layers.get(i).forward(ops, x, AttentionMask.NONE));
                frame.release(x);
                x = next;
            }
            Tensor classToken = ops.alloc(Shape.of(batch, 1, hidden));
            ops.copy(x.slice(1, 0, 1), classToken);
            Tensor pooled = postLayerNorm.forward(ops, classToken).reshape(batch, hidden);
            return frame.escape(probes.at("visual_projection", ops.linear(pooled, projection)));
        }
    }

    /** The class token and the patches, row by row, each with its position: [batch, 1 + patches, hidden]. */
    private Tensor embed(Ops ops, HostTensor pixelValues, int batch) {
        int tokens = config.patches() + 1;
        int[] positions = new int[batch * tokens];
        for (int i = 0; i < positions.length; i++) {
            positions[i] = i % tokens;
        }
        try (Frame frame = ops.frame()) {
            Tensor content = ops.alloc(Shape.of(batch, tokens, config.vision().hidden()));
            ops.embedding(classEmbedding, new int[batch], content.slice(1, 0, 1));
            ops.linear(ops.input(patches(pixelValues, batch)), patchEmbedding, content.slice(1, 1, tokens));
            Tensor position = ops.alloc(content.shape());
            ops.embedding(positionEmbedding, positions, position);
            return frame.escape(ops.addScaled(content, position, 1));
        }
    }

    /** [batch, patches, 3 * patchSize * patchSize], the channels outermost in each. */
    private HostTensor patches(HostTensor pixelValues, int batch) {
        int size = config.imageSize();
        int side = config.patchSize();
        int across = size / side;
        float[] pixels = pixelValues.values();
        float[] values = new float[batch * config.patches() * 3 * side * side];
        int to = 0;
        for (int b = 0; b < batch; b++) {
            for (int patch = 0; patch < config.patches(); patch++) {
                int top = patch / across * side;
                int left = patch % across * side;
                for (int line = 0; line < 3 * side; line++) {
                    int from = ((b * 3 + line / side) * size + top + line % side) * size + left;
                    System.arraycopy(pixels, from, values, to, side);
                    to += side;
                }
            }
        }
        return HostTensor.of("patches", values, batch, config.patches(), 3L * side * side);
    }

    private int check(HostTensor pixelValues) {
        Shape shape = pixelValues.shape();
        int size = config.imageSize();
        if (shape.rank() != 4 || shape.dim(0) < 1 || !shape.equals(Shape.of(shape.dim(0), 3, size, size))) {
            throw new IllegalArgumentException(pixelValues.name() + ": expected [batch, 3, " + size + ", " + size + "], found "
                    + shape + "; the preprocessor and the CLIP model do not belong together");
        }
        return Math.toIntExact(shape.dim(0));
    }
}
