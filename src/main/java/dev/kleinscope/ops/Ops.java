package dev.kleinscope.ops;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;

/**
 * The operations that models are written in.
 *
 * <p>Activations are f32 on the host backends. Every operation reads its inputs, writes {@code out}, and touches nothing
 * else; {@code out} may be a slice of wider rows but may not overlap an input. Forms without {@code out} allocate it in
 * the innermost {@link Frame}. Sums are accumulated in f32 or better. Shapes are checked, and a mismatch names both.
 */
public interface Ops extends AutoCloseable {

    /** {@code "reference"}, {@code "cpu"}, ... and what it runs on, for people. */
    String describe();

    /** Type of the pictures that {@link #alloc} makes. */
    default DType pictureType() {
        return DType.F32;
    }

    /** Bytes that activations may take; {@code usual} where it is not for the backend to say. */
    default long room(long usual) {
        return usual;
    }

    /** Opens a frame inside the innermost one. One must be open before anything is allocated. */
    Frame frame();

    /** An activation of undefined content in the innermost frame. */
    Tensor alloc(Shape shape);

    /** Values from the host as an activation in the innermost frame. */
    Tensor input(HostTensor values);

    /** A weight where this backend wants it: the host backends use the mapped file as it is. */
    Tensor weight(Tensor mapped);

    /** {@code out[.., o] = sum_i x[.., i] weight[o, i] + bias[o]}. */
    void linear(Tensor x, Linear layer, Tensor out);

    /** LayerNorm over the last dimension, without affine parameters. */
    void layerNorm(Tensor x, double eps, Tensor out);

    /** {@code LayerNorm(x) * weight + bias}; weight and bias [hidden]. */
    void layerNormAffine(Tensor x, Tensor weight, Tensor bias, double eps, Tensor out);

    /** {@code (1 + scale) * LayerNorm(x) + shift}; x [batch, tokens, hidden], scale and shift [batch, hidden]. */
    void layerNormModulate(Tensor x, Tensor scale, Tensor shift, double eps, Tensor out);

    /** RMSNorm of each group of {@code weight.dim(0)} channels: whole rows, or the heads within them. */
    void rmsNorm(Tensor x, Tensor weight, double eps, Tensor out);

    /** RMSNorm of each head, then the rotation; x [batch, tokens, heads * headDim], weight [headDim]. */
    void rmsNormRope(Tensor x, Tensor weight, double eps, Rope rope, Tensor out);

    /**
     * {@code softmax(q k^T / sqrt(headDim)) v}, head by head.
     *
     * @param q [batch, queries, heads * headDim]
     * @param k [batch, keys, kvHeads * headDim]; each key head serves heads / kvHeads neighbouring query heads
     * @param v as k
     * @param out as q
     */
    void attention(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask, Tensor out);

    /** The Gaussian error linear unit. */
    void gelu(Tensor x, Gelu kind, Tensor out);

    /** {@code x * sigmoid(x)}. */
    void silu(Tensor x, Tensor out);

    /** {@code silu(a) * b}. */
    void swiglu(Tensor a, Tensor b, Tensor out);

    /** {@code x + gate * y}; x and y [batch, tokens, hidden], gate [batch, hidden]. */
    void gatedResidual(Tensor x, Tensor gate, Tensor y, Tensor out);

    /** {@code x + scale * y}. */
    void addScaled(Tensor x, Tensor y, double scale, Tensor out);

    /** {@code a + weight * (b - a)}; also for weights outside 0..1. */
    void lerp(Tensor a, Tensor b, double weight, Tensor out);

    /** Rows of {@code table} [vocabulary, hidden] at {@code ids}; out [.., hidden] with as many rows. */
    void embedding(Tensor table, int[] ids, Tensor out);

    void copy(Tensor x, Tensor out);

    /**
     * A convolution's kernel where and as this backend wants it. The result lives as long as the backend; call once a weight.
     *
     * @param mapped [out, in, height, width], as checkpoints store it
     * @return [out, height, width, in]
     */
    Tensor convWeight(Tensor mapped);

    /** Cross-correlation with zeros around; x [batch, height, width, in], out [batch, ., ., out]. */
    void conv2d(Tensor x, Conv2d layer, Tensor out);

    /**
     * Mean and variance (divided by the count) of each group of neighbouring channels.
     *
     * @param x [batch, height, width, channels]; may be a slice of a larger picture
     * @param out [batch, 2, groups]: the means, then the variances
     */
    void groupMoments(Tensor x, Tensor out);

    /**
     * {@code (x - mean) / sqrt(variance + eps) * weight + bias}, then SiLU if asked for.
     *
     * @param x [batch, height, width, channels]
     * @param moments [batch, 2, groups] or, one for all, [1, 2, groups]; as {@link #groupMoments} returns them
     * @param weight [channels]
     * @param bias [channels]
     */
    void groupNorm(Tensor x, Tensor moments, Tensor weight, Tensor bias, double eps, boolean silu, Tensor out);

    /** Each pixel becomes two by two alike; x [batch, height, width, channels], out [batch, 2 height, 2 width, channels]. */
    void upsampleNearest2x(Tensor x, Tensor out);

    @Override
    void close();

    /** GroupNorm of {@code groups} groups by x's own statistics. */
    default void groupNorm(Tensor x, Tensor weight, Tensor bias, long groups, double eps, boolean silu, Tensor out) {
        try (Frame _ = frame()) {
            groupNorm(x, groupMoments(x, groups), weight, bias, eps, silu, out);
        }
    }

    default Tensor groupNorm(Tensor x, Tensor weight, Tensor bias, long groups, double eps, boolean silu) {
        Tensor out = alloc(x.shape());
        groupNorm(x, weight, bias, groups, eps, silu, out);
        return out;
    }

    default Tensor groupMoments(Tensor x, long groups) {
        Tensor out = alloc(Shape.of(x.dim(0), 2, groups));
        groupMoments(x, out);
        return out;
    }

    default Tensor conv2d(Tensor x, Conv2d layer) {
        Tensor out = alloc(layer.outShape(x.shape()));
        conv2d(x, layer, out);
        return out;
    }

    /**
     * {@code conv2d(x) + added}: the update of a residual stream of pictures, without the update on its own.
     *
     * @param added shaped as out
     */
    default void conv2dAdded(Tensor x, Conv2d layer, Tensor added, Tensor out) {
        try (Frame _ = frame()) {
            addScaled(added, conv2d(x, layer), 1, out);
        }
    }

    default Tensor conv2dAdded(Tensor x, Conv2d layer, Tensor added) {
        Tensor out = alloc(added.shape());
        conv2dAdded(x, layer, added, out);
        return out;
    }

    default Tensor upsampleNearest2x(Tensor x) {
        Tensor out = alloc(Shape.of(x.dim(0), 2 * x.dim(1), 2 * x.dim(2), x.dim(3)));
        upsampleNearest2x(x, out);
        return out;
    }

    default Tensor layerNormAffine(Tensor x, Tensor weight, Tensor bias, double eps) {
        Tensor out = alloc(x.shape());
        layerNormAffine(x, weight, bias, eps, out);
        return out;
    }

    default Tensor gelu(Tensor x, Gelu kind) {
        Tensor out = alloc(x.shape());
        gelu(x, kind, out);
        return out;
    }

    default Tensor linear(Tensor x, Linear layer) {
        Tensor out = alloc(x.shape().withLast(layer.out()));
        linear(x, layer, out);
        return out;
    }

    default Tensor layerNorm(Tensor x, double eps) {
        Tensor out = alloc(x.shape());
        layerNorm(x, eps, out);
        return out;
    }

    default Tensor layerNormModulate(Tensor x, Tensor scale, Tensor shift, double eps) {
        Tensor out = alloc(x.shape());
        layerNormModulate(x, scale, shift, eps, out);
        return out;
    }

    default Tensor rmsNorm(Tensor x, Tensor weight, double eps) {
        Tensor out = alloc(x.shape());
        rmsNorm(x, weight, eps, out);
        return out;
    }

    default Tensor rmsNormRope(Tensor x, Tensor weight, double eps, Rope rope) {
        Tensor out = alloc(x.shape());
        rmsNormRope(x, weight, eps, rope, out);
        return out;
    }

    default Tensor attention(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask) {
        Tensor out = alloc(q.shape());
        attention(q, k, v, heads, kvHeads, mask, out);
        return out;
    }

    default Tensor silu(Tensor x) {
        Tensor out = alloc(x.shape());
        silu(x, out);
        return out;
    }

    default Tensor swiglu(Tensor a, Tensor b) {
        Tensor out = alloc(a.shape());
        swiglu(a, b, out);
        return out;
    }

    /** Rows of {@code table} at {@code ids} as {@code shape} [.., hidden]: what a residual stream begins with. */
    default Tensor embedding(Tensor table, int[] ids, Shape shape) {
        Tensor out = alloc(shape);
        embedding(table, ids, out);
        return out;
    }

    default Tensor addScaled(Tensor x, Tensor y, double scale) {
        Tensor out = alloc(x.shape());
        addScaled(x, y, scale, out);
        return out;
    }

    default Tensor lerp(Tensor a, Tensor b, double weight) {
        Tensor out = alloc(a.shape());
        lerp(a, b, weight, out);
        return out;
    }
}
