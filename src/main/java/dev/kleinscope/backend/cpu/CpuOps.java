package dev.kleinscope.backend.cpu;

import dev.kleinscope.bindings.linux.Pages;
import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Gelu;
import dev.kleinscope.ops.HostFrames;
import dev.kleinscope.ops.HostKernels;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.MemoryShortageException;
import dev.kleinscope.ops.OpShapes;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.ops.WeightGroup;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.List;
import java.util.function.BiFunction;

/**
 * Operations on all cores through the Vector API, in f32; but products of tokens by BF16 weights in bf16, if asked for.
 *
 * <p>Weights are used where they lie and widened on the way. A result's bits depend on its inputs alone: not on the
 * number of threads, nor on how many rows are computed together; but with oneDNN's products they may depend on both, and on
 * the machine. Called by one thread at a time; if that thread is
 * interrupted, the operation under way ends with {@link dev.kleinscope.ops.RunInterruptedException}.
 */
public final class CpuOps implements Ops {

    /** Below this many elements, waking other threads costs more than it saves. */
    private static final long SHARED_ELEMENTS = 1 << 15;

    private final HostFrames frames = new HostFrames("cpu");
    private final Workers workers;
    private final Products products;
    private WeightPages weights;

    public CpuOps() {
        this(Gemm.JAVA);
    }

    /** @throws dev.kleinscope.bindings.onednn.OneDnnLibrary.Unavailable if oneDNN is asked for and cannot be used here */
    public CpuOps(Gemm gemm) {
        this(Runtime.getRuntime().availableProcessors(), gemm);
    }

    /** @param threads at least one, the caller included */
    public CpuOps(int threads) {
        this(threads, Gemm.JAVA);
    }

    /**
     * @param threads at least one, the caller included
     * @throws dev.kleinscope.bindings.onednn.OneDnnLibrary.Unavailable if oneDNN is asked for and cannot be used here
     */
    public CpuOps(int threads, Gemm gemm) {
        this(threads, gemm, DType.F32);
    }

    /**
     * @param threads at least one, the caller included
     * @param precision what activations [batch, tokens, ..] are rounded to before they are multiplied by BF16 weights: F32, not at all,
     *     or BF16
     * @throws dev.kleinscope.bindings.onednn.OneDnnLibrary.Unavailable if oneDNN is asked for and cannot be used here
     * @throws IllegalArgumentException if {@code precision} is BF16 where {@link #whyNoBf16} tells that it cannot be, or the products
     *     are not oneDNN's
     */
    public CpuOps(int threads, Gemm gemm, DType precision) {
        this(threads, (workers, frames) -> products(threads, gemm, precision, workers, frames));
    }

    /** @param products opens what the backend multiplies with, on its threads and in its memory */
    CpuOps(int threads, BiFunction<Workers, HostFrames, Products> products) {
        workers = new Workers(threads);
        try {
            this.products = products.apply(workers, frames);
        } catch (RuntimeException | Error e) {
            workers.close();
            throw e;
        }
        weights = new WeightPages(workers, frames, Residency.ofProcess(), CpuMemory.MAPPED);
    }

    /**
     * Chooses how memory is used, before the first model is made. Changes no bit of a result, but for pictures that are decoded in
     * tiles for want of memory.
     *
     * @return this
     * @throws dev.kleinscope.ops.MemoryShortageException if a budget is set where the system does not tell what the process takes
     */
    public CpuOps using(CpuMemory memory) {
        if (memory.bounded() && !(Pages.available() && Residency.available())) {
            throw new MemoryShortageException("a memory budget needs Linux on x86-64, and /proc; leave out --memory-budget");
        }
        return using(memory, Residency.ofProcess());
    }

    CpuOps using(CpuMemory memory, Residency residency) {
        weights = new WeightPages(workers, frames, residency, memory);
        return this;
    }

    /** Bytes of the weights that models were made with so far. */
    public long weightBytes() {
        return weights.bytes();
    }

    private static Products products(int threads, Gemm gemm, DType precision, Workers workers, HostFrames frames) {
        String whyNot = precision == DType.F32 ? null : precision != DType.BF16 ? "products are in F32 or BF16"
                : gemm == Gemm.JAVA ? "our own kernel multiplies in f32" : whyNoBf16();
        if (whyNot != null) {
            throw new IllegalArgumentException("cpu: no products in " + precision + ": " + whyNot);
        }
        Products ours = new JavaProducts(workers);
        if (gemm == Gemm.JAVA) {
            return ours;
        }
        OneDnnProducts oneDnn = new OneDnnProducts(ours, threads);
        return precision == DType.F32 ? oneDnn : new Bf16Products(workers, frames, oneDnn, oneDnn::multiply);
    }

    /** Why products cannot be in bf16 here, in one sentence; null where they can. */
    public static String whyNoBf16() {
        return OneDnnProducts.whyNoBf16();
    }

    @Override
    public String describe() {
        return "cpu: " + workers.threads() + (workers.threads() == 1 ? " thread, " : " threads, ") + Lanes.BITS
                + "-bit vectors, Java " + Runtime.version().feature()
                + (products.describe().isEmpty() ? "" : ", products " + products.describe());
    }

    /** Native memory held for activations, in bytes. */
    public long bytesHeld() {
        return frames.bytesHeld();
    }

    /** The most memory activations ever took at once, in bytes. */
    public long peakBytes() {
        return frames.peakBytes();
    }

    @Override
    public Frame frame() {
        return frames.open();
    }

    @Override
    public Tensor alloc(Shape shape) {
        weights.admit(DType.F32.bytes(shape.elements()));
        return frames.alloc(shape);
    }

    @Override
    public Tensor input(HostTensor values) {
        return frames.input(values);
    }

    @Override
    public Tensor weight(Tensor mapped) {
        return weights.weight(mapped);
    }

    @Override
    public WeightGroup weightGroup(String name, long mostElements, Runnable load) {
        return weights.load(name, mostElements, load);
    }

    @Override
    public long freeBytes() {
        return weights.freeBytes();
    }

    @Override
    public void linear(Tensor x, Linear layer, Tensor out) {
        HostRows.requireF32("linear", x, out);
        OpShapes.linear(x, layer, out);
        weights.use(layer);
        products.linear(x, layer, out);
    }

    @Override
    public void linear(Tensor x, List<Linear> layers, Tensor out) {
        HostRows.requireF32("linear", x, out);
        OpShapes.linear(x, layers, out);
        weights.use(layers);
        products.linear(x, layers, out);
    }

    @Override
    public void layerNorm(Tensor x, double eps, Tensor out) {
        HostRows.requireF32("layerNorm", x, out);
        OpShapes.alike("layerNorm", out, x);
        rows(out, (row, scratch) -> RowKernels.layerNorm(x, null, null, eps, out, row, scratch));
    }

    @Override
    public void layerNormModulate(Tensor x, Tensor scale, Tensor shift, double eps, Tensor out) {
        HostRows.requireF32("layerNormModulate", x, scale, shift, out);
        OpShapes.modulated("layerNormModulate", x, scale, out);
        OpShapes.modulated("layerNormModulate", x, shift, out);
        rows(out, (row, scratch) -> RowKernels.layerNorm(x, scale, shift, eps, out, row, scratch));
    }

    @Override
    public void layerNormAffine(Tensor x, Tensor weight, Tensor bias, double eps, Tensor out) {
        HostRows.requireF32("layerNormAffine", x, out);
        OpShapes.layerNormAffine(x, weight, bias, out);
        float[] weights = HostRows.read(weight, 0);
        float[] biases = HostRows.read(bias, 0);
        rows(out, (row, scratch) -> RowKernels.layerNormAffine(x, weights, biases, eps, out, row, scratch));
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, double eps, Tensor out) {
        HostRows.requireF32("rmsNorm", x, out);
        OpShapes.rmsNorm("rmsNorm", x, weight, out);
        float[] weights = HostRows.read(weight, 0);
        rows(out, (row, scratch) -> RowKernels.rmsNorm(x, weights, eps, out, row, scratch));
    }

    @Override
    public void rmsNormRope(Tensor x, Tensor weight, double eps, Rope rope, Tensor out) {
        HostRows.requireF32("rmsNormRope", x, out, rope.cos(), rope.sin());
        OpShapes.rmsNormRope(x, weight, rope, out);
        float[] weights = HostRows.read(weight, 0);
        rows(out, (row, scratch) -> RowKernels.rmsNormRope(x, weights, eps, rope, out, row, scratch));
    }

    @Override
    public void rotate(Tensor x, Rope rope, Tensor out) {
        HostRows.requireF32("rotate", x, out, rope.cos(), rope.sin());
        OpShapes.rotate(x, rope, out);
        rows(out, (row, scratch) -> RowKernels.rotate(x, rope, out, row, scratch));
    }

    @Override
    public void addProjections(Tensor x, Tensor from, Tensor to, Tensor out) {
        HostRows.requireF32("addProjections", x, from, to, out);
        OpShapes.addProjections(x, from, to, out);
        rows(out, (row, _) -> ProbeKernels.addProjections(x, from, to, out, row));
    }

    /**
     * A query that sees no key gets zeros. Takes as much memory as k and v together, and for each thread scores of a block of queries; our
     * own kernel keeps it on the heap.
     */
    @Override
    public void attention(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask, Tensor out) {
        HostRows.requireF32("attention", q, k, v, out);
        OpShapes.attention(q, k, v, heads, kvHeads, mask, out);
        AttentionHeads operands = new AttentionHeads(q, k, v, Math.toIntExact(heads), Math.toIntExact(kvHeads), mask, out);
        OneDnnAttention oneDnn = products.attention();
        OneDnnAttention.Plan plan = oneDnn == null ? null : oneDnn.plan(operands);
        if (plan == null) {
            new AttentionKernel(operands).run(workers);
            return;
        }
        try (Frame _ = frames.open()) {
            oneDnn.run(workers, operands, plan, alloc(Shape.of(plan.packedFloats(operands.batches() * operands.kvHeads()))),
                    alloc(Shape.of(plan.scoreFloats(workers.threads()))));
        }
    }

    /** Takes as much memory as one head of k for the time it runs, and a few rows of scores a thread. */
    @Override
    public void attentionShares(Tensor q, Tensor k, long heads, int[] groups, Tensor out) {
        HostRows.requireF32("attentionShares", q, k, out);
        OpShapes.attentionShares(q, k, heads, groups, out);
        new AttentionSharesKernel(q, k, heads, groups, out).run(workers);
    }

    @Override
    public void gelu(Tensor x, Gelu kind, Tensor out) {
        alike("gelu", out, x);
        rows(out, (row, _) -> RowKernels.gelu(x, kind, out, row));
    }

    @Override
    public void silu(Tensor x, Tensor out) {
        alike("silu", out, x);
        rows(out, (row, _) -> RowKernels.silu(x, out, row));
    }

    @Override
    public void swiglu(Tensor a, Tensor b, Tensor out) {
        alike("swiglu", out, a, b);
        rows(out, (row, _) -> RowKernels.swiglu(a, b, out, row));
    }

    @Override
    public void gatedResidual(Tensor x, Tensor gate, Tensor y, Tensor out) {
        HostRows.requireF32("gatedResidual", gate);
        OpShapes.modulated("gatedResidual", x, gate, out);
        alike("gatedResidual", out, x, y);
        rows(out, (row, _) -> RowKernels.gatedResidual(x, gate, y, out, row));
    }

    @Override
    public void addScaled(Tensor x, Tensor y, double scale, Tensor out) {
        alike("addScaled", out, x, y);
        rows(out, (row, _) -> RowKernels.addScaled(x, y, (float) scale, out, row));
    }

    @Override
    public void lerp(Tensor a, Tensor b, double weight, Tensor out) {
        alike("lerp", out, a, b);
        rows(out, (row, _) -> RowKernels.lerp(a, b, (float) weight, out, row));
    }

    @Override
    public void embedding(Tensor table, int[] ids, Tensor out) {
        HostRows.requireF32("embedding", out);
        OpShapes.embedding(table, ids, out);
        rows(out, (row, _) -> HostRows.write(out, row, HostRows.read(table, ids[(int) row])));
    }

    @Override
    public void copy(Tensor x, Tensor out) {
        alike("copy", out, x);
        rows(out, (row, _) -> RowKernels.copy(x, out, row));
    }

    @Override
    public Tensor convWeight(Tensor mapped) {
        Tensor kernel = HostKernels.channelsLast(mapped, frames);
        weights.converted(mapped);
        return kernel;
    }

    @Override
    public void conv2d(Tensor x, Conv2d layer, Tensor out) {
        HostRows.requireF32("conv2d", x, out);
        OpShapes.conv2d(x, layer, out);
        Convolution.run(workers, products, x, layer, out);
    }

    /** In place, since pictures are large. */
    @Override
    public void conv2dAdded(Tensor x, Conv2d layer, Tensor added, Tensor out) {
        alike("conv2dAdded", out, added);
        conv2d(x, layer, out);
        rows(out, (row, _) -> RowKernels.addScaled(added, out, 1f, out, row));
    }

    @Override
    public void rowMoments(Tensor x, Tensor before, Tensor out) {
        HostRows.requireF32("rowMoments", x, out);
        OpShapes.rowMoments(x, before, out);
        share(x.rows(), x, (row, _) -> ProbeKernels.rowMoments(x, before, out, row));
    }

    @Override
    public void channelEnergies(Tensor x, int[] bounds, Tensor out) {
        HostRows.requireF32("channelEnergies", x, out);
        OpShapes.channelEnergies(x, bounds, out);
        long parts = Math.ceilDiv(x.dim(2), ProbeKernels.CHANNELS);
        share(out.rows() * parts, x, (part, _) -> ProbeKernels.channelEnergies(x, bounds, out, part / parts, part % parts));
    }

    @Override
    public void groupMoments(Tensor x, Tensor out) {
        HostRows.requireF32("groupMoments", x, out);
        OpShapes.groupMoments(x, out);
        try (Frame _ = frames.open()) {
            Tensor lines = frames.alloc(Shape.of(x.dim(0) * x.dim(1), 2, x.dim(3)));
            share(lines.dim(0), x, (line, _) -> PictureKernels.lineMoments(x, lines, line));
            for (long batch = 0; batch < x.dim(0); batch++) {
                PictureKernels.groupMoments(lines, x.dim(2), out, batch);
            }
        }
    }

    @Override
    public void groupNorm(Tensor x, Tensor moments, Tensor weight, Tensor bias, double eps, boolean silu, Tensor out) {
        HostRows.requireF32("groupNorm", x, moments, out);
        OpShapes.groupNorm(x, moments, weight, bias, out);
        float[] weights = HostRows.read(weight, 0);
        float[] biases = HostRows.read(bias, 0);
        PictureKernels.Channels[] norms = new PictureKernels.Channels[Math.toIntExact(moments.dim(0))];
        for (int batch = 0; batch < norms.length; batch++) {
            norms[batch] = PictureKernels.Channels.of(moments, batch, weights, biases, eps);
        }
        share(x.dim(0) * x.dim(1), out, (line, _) -> PictureKernels.groupNorm(x,
                norms[norms.length == 1 ? 0 : (int) (line / x.dim(1))], silu, out, line));
    }

    @Override
    public void upsampleNearest2x(Tensor x, Tensor out) {
        HostRows.requireF32("upsampleNearest2x", x, out);
        OpShapes.upsampleNearest2x(x, out);
        share(x.dim(0) * x.dim(1), out, (line, _) -> PictureKernels.upsample(x, out, line));
    }

    /** Ends the threads and every tensor this backend allocated. */
    @Override
    public void close() {
        weights.close();
        products.close();
        workers.close();
        frames.close();
    }

    private static void alike(String op, Tensor out, Tensor... inputs) {
        HostRows.requireF32(op, inputs);
        HostRows.requireF32(op, out);
        OpShapes.alike(op, out, inputs);
    }

    private interface RowTask {
        void run(long row, Scratch scratch);
    }

    private void rows(Tensor out, RowTask task) {
        share(out.rows(), out, task);
    }

    /** Runs a task for each of {@code rows}, on several threads if {@code tensor} is large. */
    private void share(long rows, Tensor tensor, RowTask task) {
        long chunks = tensor.shape().elements() < SHARED_ELEMENTS ? 1 : Math.min(rows, 4L * workers.threads());
        workers.run((int) chunks, (chunk, scratch) -> {
            long end = rows * (chunk + 1) / chunks;
            for (long row = rows * chunk / chunks; row < end; row++) {
                task.run(row, scratch);
            }
        });
    }
}
