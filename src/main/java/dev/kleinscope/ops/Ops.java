package dev.kleinscope.ops;

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

    @Override
    void close();

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
