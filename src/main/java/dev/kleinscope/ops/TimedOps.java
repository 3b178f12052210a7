package dev.kleinscope.ops;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Another backend's operations, each timed until it returns: for backends that compute before they return, as those of the host do.
 *
 * <p>What it wraps pays nothing when it is used without this. Closing this leaves it open.
 */
public final class TimedOps implements Ops {

    /**
     * Operations that are alike.
     *
     * @param op as {@link Ops} names it
     * @param rows of the result; of attention its queries
     * @param in terms of each sum of a linear layer; keys of attention; else 0
     * @param out width of the result
     * @param weight type of a linear layer's weights; else ""
     */
    public record Key(String op, long rows, long in, long out, String weight) {
    }

    /** What operations that are alike took together. */
    public static final class Taken {

        private final Linear layer;
        private long calls;
        private long nanos;
        private double flops;
        private double bytes;

        private Taken(Linear layer) {
            this.layer = layer;
        }

        /** One of the linear layers; null for other operations. */
        public Linear layer() {
            return layer;
        }

        public long calls() {
            return calls;
        }

        public double seconds() {
            return nanos / 1e9;
        }

        /** Multiplications and additions of all calls; 0 where they are not what an operation costs. */
        public double flops() {
            return flops;
        }

        /** Read and written by all calls, each value once. */
        public double bytes() {
            return bytes;
        }
    }

    private final Ops ops;
    private final Map<Key, Taken> taken = new LinkedHashMap<>();

    public TimedOps(Ops ops) {
        this.ops = ops;
    }

    /** What was timed so far, in the order of first calls. */
    public Map<Key, Taken> taken() {
        return Collections.unmodifiableMap(taken);
    }

    /** Forgets what was timed so far. */
    public void reset() {
        taken.clear();
    }

    private void time(Key key, Linear layer, double flops, double bytes, Runnable operation) {
        long start = System.nanoTime();
        operation.run();
        charge(key, layer, flops, bytes, System.nanoTime() - start);
    }

    private void charge(Key key, Linear layer, double flops, double bytes, long took) {
        Taken entry = taken.computeIfAbsent(key, _ -> new Taken(layer));
        entry.calls++;
        entry.nanos += took;
        entry.flops += flops;
        entry.bytes += bytes;
    }

    /** An operation on single values or rows, bounded by memory. */
    private void pass(String op, Tensor out, Runnable operation, Tensor... inputs) {
        double bytes = bytes(out);
        for (Tensor input : inputs) {
            bytes += bytes(input);
        }
        time(new Key(op, out.rows(), 0, out.dim(-1), ""), null, 0, bytes, operation);
    }

    private static double bytes(Tensor tensor) {
        return tensor == null ? 0 : tensor.dtype().bytes(tensor.shape().elements());
    }

    @Override
    public String describe() {
        return ops.describe();
    }

    @Override
    public Frame frame() {
        return ops.frame();
    }

    @Override
    public HostBuffer hostBuffer(long bytes) {
        return ops.hostBuffer(bytes);
    }

    @Override
    public void download(Tensor x, MemorySegment target) {
        ops.download(x, target);
    }

    @Override
    public void finish() {
        ops.finish();
    }

    @Override
    public void settle() {
        ops.settle();
    }

    @Override
    public DType activationType(Shape shape) {
        return ops.activationType(shape);
    }

    @Override
    public DType pictureType() {
        return ops.pictureType();
    }

    @Override
    public float scalar(float value) {
        return ops.scalar(value);
    }

    @Override
    public Tensor alloc(Shape shape) {
        return ops.alloc(shape);
    }

    @Override
    public Tensor input(HostTensor values) {
        return ops.input(values);
    }

    @Override
    public Tensor weight(Tensor mapped) {
        return ops.weight(mapped);
    }

    @Override
    public long freeBytes() {
        return ops.freeBytes();
    }

    @Override
    public void linear(Tensor x, Linear layer, Tensor out) {
        double flops = 2.0 * x.rows() * layer.in() * layer.out();
        time(new Key("linear", x.rows(), layer.in(), layer.out(), layer.weight().dtype().toString()), layer, flops,
                bytes(x) + bytes(layer.weight()) + bytes(out), () -> ops.linear(x, layer, out));
    }

    /** Timed together, since a backend may prepare x once; each layer is charged by its width. */
    @Override
    public void linear(Tensor x, List<Linear> layers, Tensor out) {
        long start = System.nanoTime();
        ops.linear(x, layers, out);
        long took = System.nanoTime() - start;
        long width = layers.stream().mapToLong(Linear::out).sum();
        for (Linear layer : layers) {
            charge(new Key("linear", x.rows(), layer.in(), layer.out(), layer.weight().dtype().toString()), layer,
                    2.0 * x.rows() * layer.in() * layer.out(), bytes(x) + bytes(layer.weight()) + DType.F32.bytes(x.rows() * layer.out()),
                    took * layer.out() / width);
        }
    }

    @Override
    public List<Tensor> weights(List<Tensor> mapped) {
        return ops.weights(mapped);
    }

    @Override
    public WeightGroup weightGroup(String name, long mostElements, Runnable load) {
        return ops.weightGroup(name, mostElements, load);
    }

    @Override
    public void layerNorm(Tensor x, double eps, Tensor out) {
        pass("layerNorm", out, () -> ops.layerNorm(x, eps, out), x);
    }

    @Override
    public void layerNormAffine(Tensor x, Tensor weight, Tensor bias, double eps, Tensor out) {
        pass("layerNormAffine", out, () -> ops.layerNormAffine(x, weight, bias, eps, out), x);
    }

    @Override
    public void layerNormModulate(Tensor x, Tensor scale, Tensor shift, double eps, Tensor out) {
        pass("layerNormModulate", out, () -> ops.layerNormModulate(x, scale, shift, eps, out), x);
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, double eps, Tensor out) {
        pass("rmsNorm", out, () -> ops.rmsNorm(x, weight, eps, out), x);
    }

    @Override
    public void rmsNormRope(Tensor x, Tensor weight, double eps, Rope rope, Tensor out) {
        pass("rmsNormRope", out, () -> ops.rmsNormRope(x, weight, eps, rope, out), x);
    }

    @Override
    public void attention(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask, Tensor out) {
        double flops = 4.0 * q.rows() * k.dim(1) * q.dim(2);
        time(new Key("attention", q.rows(), k.dim(1), out.dim(-1), ""), null, flops, bytes(q) + bytes(k) + bytes(v) + bytes(out),
                () -> ops.attention(q, k, v, heads, kvHeads, mask, out));
    }

    @Override
    public void attentionShares(Tensor q, Tensor k, long heads, int[] groups, Tensor out) {
        time(new Key("attentionShares", q.rows(), k.dim(1), out.dim(-1), ""), null, 2.0 * q.rows() * k.dim(1) * q.dim(2),
                bytes(q) + bytes(k) + bytes(out), () -> ops.attentionShares(q, k, heads, groups, out));
    }

    @Override
    public void rotate(Tensor x, Rope rope, Tensor out) {
        pass("rotate", out, () -> ops.rotate(x, rope, out), x);
    }

    @Override
    public void addProjections(Tensor x, Tensor from, Tensor to, Tensor out) {
        pass("addProjections", out, () -> ops.addProjections(x, from, to, out), x);
    }

    @Override
    public void gelu(Tensor x, Gelu kind, Tensor out) {
        pass("gelu", out, () -> ops.gelu(x, kind, out), x);
    }

    @Override
    public void silu(Tensor x, Tensor out) {
        pass("silu", out, () -> ops.silu(x, out), x);
    }

    @Override
    public void swiglu(Tensor a, Tensor b, Tensor out) {
        pass("swiglu", out, () -> ops.swiglu(a, b, out), a, b);
    }

    @Override
    public void gatedResidual(Tensor x, Tensor gate, Tensor y, Tensor out) {
        pass("gatedResidual", out, () -> ops.gatedResidual(x, gate, y, out), x, y);
    }

    @Override
    public void addScaled(Tensor x, Tensor y, double scale, Tensor out) {
        pass("addScaled", out, () -> ops.addScaled(x, y, scale, out), x, y);
    }

    @Override
    public void lerp(Tensor a, Tensor b, double weight, Tensor out) {
        pass("lerp", out, () -> ops.lerp(a, b, weight, out), a, b);
    }

    @Override
    public void embedding(Tensor table, int[] ids, Tensor out) {
        pass("embedding", out, () -> ops.embedding(table, ids, out));
    }

    @Override
    public void copy(Tensor x, Tensor out) {
        pass("copy", out, () -> ops.copy(x, out), x);
    }

    @Override
    public void rowMoments(Tensor x, Tensor before, Tensor out) {
        pass("rowMoments", out, () -> ops.rowMoments(x, before, out), x, before);
    }

    @Override
    public void channelEnergies(Tensor x, int[] bounds, Tensor out) {
        pass("channelEnergies", out, () -> ops.channelEnergies(x, bounds, out), x);
    }

    @Override
    public Tensor convWeight(Tensor mapped) {
        return ops.convWeight(mapped);
    }

    @Override
    public void conv2d(Tensor x, Conv2d layer, Tensor out) {
        long terms = layer.in() * layer.kernelHeight() * layer.kernelWidth();
        time(new Key("conv2d", out.rows(), terms, layer.out(), layer.weight().dtype().toString()), null, 2.0 * out.rows() * terms * layer.out(),
                bytes(x) + bytes(layer.weight()) + bytes(out), () -> ops.conv2d(x, layer, out));
    }

    @Override
    public void groupMoments(Tensor x, Tensor out) {
        pass("groupMoments", out, () -> ops.groupMoments(x, out), x);
    }

    @Override
    public void groupNorm(Tensor x, Tensor moments, Tensor weight, Tensor bias, double eps, boolean silu, Tensor out) {
        pass("groupNorm", out, () -> ops.groupNorm(x, moments, weight, bias, eps, silu, out), x);
    }

    @Override
    public void upsampleNearest2x(Tensor x, Tensor out) {
        pass("upsampleNearest2x", out, () -> ops.upsampleNearest2x(x, out), x);
    }

    /** Leaves the backend open. */
    @Override
    public void close() {
        taken.clear();
    }
}
