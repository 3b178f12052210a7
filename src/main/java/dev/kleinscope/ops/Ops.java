package dev.kleinscope.ops;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The operations that models are written in.
 *
 * <p>Activations are f32 on the host backends. Every operation reads its inputs, writes {@code out}, and touches nothing
 * else; {@code out} may be a slice of wider rows but may not overlap an input. Forms without {@code out} allocate it in
 * the innermost {@link Frame}. Sums are accumulated in f32 or better. Shapes are checked, and a mismatch names both.
 */
public interface Ops extends AutoCloseable {

    /** Directions that {@link #addProjections} takes at once. */
    int MOST_PROJECTIONS = 64;

    /** {@code "reference"}, {@code "cpu"}, ... and what it runs on, for people. */
    String describe();

    /** Type of the pictures that {@link #alloc} makes. */
    default DType pictureType() {
        return DType.F32;
    }

    /** Opens a frame inside the innermost one. One must be open before anything is allocated. */
    Frame frame();

    /**
     * Runs operations that recur. A backend may record what they queue and replay it when they recur, without running {@code body}.
     *
     * @param key equal for the same operations on the same weights, with the same points watched
     * @param inputs all that {@code body} reads of what can differ from one time to the next; copied
     * @param watcher told of what is watched, each time
     * @return body's result, in the innermost frame
     */
    default Tensor repeat(Object key, List<Tensor> inputs, Repeated.Watcher watcher, Repeated body) {
        return body.run(inputs, watcher);
    }

    /** Memory to {@link #download} into. The caller closes it. */
    default HostBuffer hostBuffer(long bytes) {
        return HostCopies.buffer(bytes);
    }

    /**
     * Queues a copy of an activation, its elements as they are and without gaps, to the start of {@code target}, beside what is
     * computed. The activation may end before the copy is done.
     *
     * @param target from {@link #hostBuffer}, at least as large
     */
    default void download(Tensor x, MemorySegment target) {
        HostCopies.copy(x, target);
    }

    /** Waits until everything queued is done, downloads too. */
    default void finish() {
    }

    /** Queues what is held back to be joined with what comes next: before an activation is written to where it lies. */
    default void settle() {
    }

    /** A number that a model is given, such as a timestep, as this backend's arithmetic keeps it. */
    default float scalar(float value) {
        return value;
    }

    /** Type of the activations of a shape that {@link #alloc} makes. */
    default DType activationType(Shape shape) {
        return DType.F32;
    }

    /** An activation of undefined content in the innermost frame. */
    Tensor alloc(Shape shape);

    /** Values from the host as an activation in the innermost frame. */
    Tensor input(HostTensor values);

    /** A weight where this backend wants it: the host backends use the mapped file as it is. */
    Tensor weight(Tensor mapped);

    /**
     * Weights of layers that read the same input, in this order: side by side in memory where the backend can then multiply by all
     * of them at once.
     */
    default List<Tensor> weights(List<Tensor> mapped) {
        return mapped.stream().map(this::weight).toList();
    }

    /**
     * Makes a model whose weights can be given back before this closes.
     *
     * @param name of the model, in messages
     * @param mostElements how many numbers its weights are at most
     * @param load makes it; the weights that it asks for meanwhile are the group's
     */
    default WeightGroup weightGroup(String name, long mostElements, Runnable load) {
        load.run();
        return WeightGroup.MAPPED;
    }

    /** Memory in bytes that activations could take here; {@link Long#MAX_VALUE} where nobody counts it. */
    default long freeBytes() {
        return Long.MAX_VALUE;
    }

    /** {@code out[.., o] = sum_i x[.., i] weight[o, i] + bias[o]}. */
    void linear(Tensor x, Linear layer, Tensor out);

    /** Layers of the same input; their results side by side in {@code out} [.., sum of their widths]. */
    default void linear(Tensor x, List<Linear> layers, Tensor out) {
        OpShapes.linear(x, layers, out);
        long from = 0;
        for (Linear layer : layers) {
            linear(x, layer, out.slice(-1, from, from + layer.out()));
            from += layer.out();
        }
    }

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
     * {@link #rmsNormRope(Tensor, Tensor, double, Rope, Tensor)} of queries and keys, which may differ in the number of heads.
     *
     * @param q [batch, tokens, heads * headDim]
     * @param k [batch, tokens, kvHeads * headDim]
     */
    default void rmsNormRope(Tensor q, Tensor k, Tensor normQ, Tensor normK, double eps, Rope rope, Tensor qOut, Tensor kOut) {
        rmsNormRope(q, normQ, eps, rope, qOut);
        rmsNormRope(k, normK, eps, rope, kOut);
    }

    /**
     * {@code softmax(q k^T / sqrt(headDim)) v}, head by head.
     *
     * @param q [batch, queries, heads * headDim]
     * @param k [batch, keys, kvHeads * headDim]; each key head serves heads / kvHeads neighbouring query heads
     * @param v as k
     * @param out as q
     */
    void attention(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask, Tensor out);

    /**
     * How the attention of each query in each head is spread over the keys, without ever holding more than a few queries' scores:
     * the entropy of {@code softmax(q k^T / sqrt(headDim))} in nats, and what each group of keys gets of it.
     *
     * @param q [batch, queries, heads * headDim], as {@link #attention} reads it
     * @param k [batch, keys, heads * headDim]
     * @param groups the group of each key, from 0
     * @param out f32 [batch, heads * queries, 1 + groups], all queries of the first head first: the entropy, then each group's share;
     *     the shares of a query add up to 1
     */
    void attentionShares(Tensor q, Tensor k, long heads, int[] groups, Tensor out);

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
     * The rotation of {@link #rmsNormRope} alone, of heads of twice as many channels as {@code rope} has angles.
     *
     * @param x [batch, tokens, heads * headDim]
     */
    void rotate(Tensor x, Rope rope, Tensor out);

    /**
     * {@code x + sum_k (x . from_k) to_k}, row by row: what removes, turns or reflects directions. Products and sums in f32 or better,
     * the result rounded once.
     *
     * @param x [.., hidden]
     * @param from f32 [n, hidden], n from 1 to {@link #MOST_PROJECTIONS}
     * @param to as from
     */
    void addProjections(Tensor x, Tensor from, Tensor to, Tensor out);

    /**
     * Sums over each row, for norms and what a block changed. Each takes two columns of {@code out}, the nearest f32 and the
     * remainder: their sum is good to about 1e-7 on a device and to f64 on the host.
     *
     * @param x [batch, tokens, hidden]
     * @param before as x, or null
     * @param out f32: {@code sum x^2} [batch, tokens, 2]; with {@code before} also {@code sum (x - before)^2} and
     *     {@code sum x before} [batch, tokens, 6]
     */
    void rowMoments(Tensor x, Tensor before, Tensor out);

    /**
     * Each channel's sum of squares over ranges of tokens.
     *
     * @param x [batch, tokens, hidden]
     * @param bounds first token and end of each range, one after the other
     * @param out f32 [batch, ranges, hidden]
     */
    void channelEnergies(Tensor x, int[] bounds, Tensor out);

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

    default Tensor rowMoments(Tensor x, Tensor before) {
        Tensor out = alloc(Shape.of(x.dim(0), x.dim(1), before == null ? 2 : 6));
        rowMoments(x, before, out);
        return out;
    }

    default Tensor channelEnergies(Tensor x, int[] bounds) {
        Tensor out = alloc(Shape.of(x.dim(0), bounds.length / 2, x.dim(2)));
        channelEnergies(x, bounds, out);
        return out;
    }

    /** @param count how many groups there are */
    default Tensor attentionShares(Tensor q, Tensor k, long heads, int[] groups, int count) {
        Tensor out = alloc(Shape.of(q.dim(0), heads * q.dim(1), 1 + count));
        attentionShares(q, k, heads, groups, out);
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

    default Tensor linear(Tensor x, List<Linear> layers) {
        Tensor out = alloc(x.shape().withLast(layers.stream().mapToLong(Linear::out).sum()));
        linear(x, layers, out);
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
