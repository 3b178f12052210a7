package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.HostBuffer;
import dev.kleinscope.ops.Gelu;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.OpShapes;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Repeated;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.ops.WeightGroup;
import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/**
 * Operations on an NVIDIA GPU, queued on one stream by the thread that opened this: products through cuBLASLt, attention through
 * cuDNN or our own kernel, the rest in {@code kernels/*.cu}. Sums are accumulated in f32 in a fixed order, so that two runs give
 * identical bits.
 *
 * <p>Where an activation's type is not given by an input that it continues, it is bf16 from three dimensions on if the precision
 * says so, and f32 otherwise; values from the host are f32. If the thread is interrupted, the next product ends with
 * {@link RunInterruptedException}.
 */
public final class CudaOps implements Ops {

    /** Set to "false", every operation is queued by itself each time, as a debugger wants it. */
    private static final boolean RECORDS = !"false".equals(System.getProperty("kleinscope.cuda.graphs"));

    private final Deque<Runnable> closings = new ArrayDeque<>();
    private final Precision precision;
    private final Rounding rounding;
    private final Cuda cuda;
    private final DeviceMemory memory;
    private final Staging staging;
    private final CudaFrames frames;
    private final Kernels kernels;
    private final DeviceWeights weights;
    private final WeightGroups groups;
    private final Products products;
    private final CudaAttention attention;
    private final RowOperations rows;
    private final Reductions reductions;
    private final PictureOperations pictures;
    private final LinearLayers linears;
    private final Recordings recordings;
    private final Downloads downloads;

    /** With cuDNN in bf16. @throws CudaUnavailableException with the reason, in one sentence */
    public CudaOps(Precision precision) {
        this(precision, false, Rounding.OURS);
    }

    /**
     * @param noCudnn whether our own kernels take the place of cuDNN, which only bf16 uses
     * @param rounding where bf16 rounds; OURS in f32
     * @throws CudaUnavailableException with the reason, in one sentence
     */
    public CudaOps(Precision precision, boolean noCudnn, Rounding rounding) {
        if (precision == Precision.F32 && rounding != Rounding.OURS) {
            throw new IllegalArgumentException("rounding as " + rounding + " is of bf16, found " + precision);
        }
        this.precision = precision;
        this.rounding = rounding;
        try {
            cuda = Cuda.open(needsCudnn(precision, noCudnn));
            closings.push(cuda::close);
            memory = new DeviceMemory(cuda);
            closings.push(memory::close);
            staging = new Staging(cuda);
            closings.push(staging::close);
            frames = new CudaFrames(cuda, memory, staging);
            kernels = new Kernels(cuda);
            closings.push(kernels::close);
            weights = new DeviceWeights(cuda, memory, staging, kernels, precision);
            products = new Products(cuda, memory);
            closings.push(products::close);
            attention = new CudaAttention(cuda, memory, kernels, products, precision);
            closings.push(attention::close);
            rows = new RowOperations(cuda, kernels, rounding);
            reductions = new Reductions(kernels, memory);
            CudnnConvolution convolution = null;
            if (precision == Precision.BF16 && cuda.cudnn()) {
                convolution = new CudnnConvolution(cuda, memory, kernels);
                closings.push(convolution::close);
            }
            pictures = new PictureOperations(kernels, memory, products, rows, convolution);
            linears = new LinearLayers(frames, products, rows, pictures);
            recordings = new Recordings(cuda, kernels, memory, frames, rows);
            memory.relieveBy(recordings::clear);
            closings.push(recordings::clear);
            groups = new WeightGroups(memory, weights, recordings::clear);
            downloads = new Downloads(cuda, memory, staging);
            closings.push(downloads::close);
            closings.push(this::finish);
            closings.push(frames::close);
        } catch (RuntimeException | Error e) {
            closeAll(e);
            throw e;
        }
    }

    /** Closes what was opened, last first, all of it. @param cause what else went wrong, or null */
    private void closeAll(Throwable cause) {
        Throwable first = cause;
        while (!closings.isEmpty()) {
            try {
                closings.pop().run();
            } catch (RuntimeException e) {
                if (first == null) {
                    first = e;
                } else {
                    first.addSuppressed(e);
                }
            }
        }
        if (cause == null && first instanceof RuntimeException failure) {
            throw failure;
        }
    }

    private static boolean needsCudnn(Precision precision, boolean noCudnn) {
        return precision == Precision.BF16 && !noCudnn;
    }

    /** Why there is no GPU to use here in bf16, in one sentence; null if there is one. Makes no context. */
    public static String unavailable() {
        return unavailable(Precision.BF16, false);
    }

    /** Why there is no GPU to use here in that way, in one sentence; null if there is one. Makes no context. */
    public static String unavailable(Precision precision, boolean noCudnn) {
        try {
            Cuda.select(needsCudnn(precision, noCudnn));
            return null;
        } catch (CudaUnavailableException | CudaException e) {
            return e.getMessage();
        } catch (LinkageError e) {
            return "the NVIDIA driver lacks a function that is needed: " + e.getMessage();
        }
    }

    @Override
    public String describe() {
        return "cuda: " + cuda.name() + ", " + precision + (rounding == Rounding.OURS ? "" : " rounded as " + rounding + " does") + ", attention by " + attention.describe();
    }

    /** Bytes on the device that weights hold. */
    public long weightBytes() {
        return memory.keptBytes();
    }

    /** Bytes on the device that activations hold, in use or kept for the next. */
    public long activationBytes() {
        return memory.pooledBytes();
    }

    /** By CUDA graphs from the third time on. */
    @Override
    public Tensor repeat(Object key, List<Tensor> inputs, Repeated.Watcher watcher, Repeated body) {
        requireGoing();
        return RECORDS ? recordings.run(key, inputs, watcher, body) : body.run(inputs, watcher);
    }

    /** Pinned. */
    @Override
    public HostBuffer hostBuffer(long bytes) {
        return downloads.buffer(bytes);
    }

    @Override
    public void download(Tensor x, MemorySegment target) {
        OpShapes.download(x, target);
        downloads.queue(x, target);
    }

    @Override
    public void finish() {
        cuda.synchronize();
        downloads.finish();
        memory.settle();
    }

    @Override
    public DType pictureType() {
        return precision == Precision.BF16 ? DType.BF16 : DType.F32;
    }

    @Override
    public Frame frame() {
        return frames.open();
    }

    @Override
    public float scalar(float value) {
        return rounding == Rounding.DIFFUSERS ? BFloat16.round(value) : value;
    }

    @Override
    public Tensor alloc(Shape shape) {
        return frames.alloc(shape, precision == Precision.BF16 && shape.rank() > 2 ? DType.BF16 : DType.F32);
    }

    @Override
    public Tensor input(HostTensor values) {
        Tensor tensor = frames.alloc(values.shape(), DType.F32);
        staging.upload(MemorySegment.ofArray(values.values()), View.address(tensor));
        return tensor.named(values.name());
    }

    @Override
    public Tensor weight(Tensor mapped) {
        cuda.requireOwner();
        return weights.weight(mapped);
    }

    @Override
    public List<Tensor> weights(List<Tensor> mapped) {
        cuda.requireOwner();
        return weights.weights(mapped);
    }

    /** One product where the weights lie side by side. */
    @Override
    public void linear(Tensor x, List<Linear> layers, Tensor out) {
        Linear whole = DeviceWeights.whole(layers);
        if (whole != null) {
            linear(x, whole, out);
        } else {
            Ops.super.linear(x, layers, out);
        }
    }

    @Override
    public WeightGroup weightGroup(String name, long mostElements, Runnable load) {
        cuda.requireOwner();
        return groups.load(name, mostElements, load);
    }

    @Override
    public long freeBytes() {
        return memory.freeBytes() + groups.spareBytes() + recordings.bytes();
    }

    @Override
    public void linear(Tensor x, Linear layer, Tensor out) {
        requireGoing();
        OpShapes.linear(x, layer, out);
        linears.linear(x, layer, out);
    }

    @Override
    public void layerNorm(Tensor x, double eps, Tensor out) {
        OpShapes.alike("layerNorm", out, x);
        rows.layerNorm(x, eps, out);
    }

    @Override
    public void layerNormAffine(Tensor x, Tensor weight, Tensor bias, double eps, Tensor out) {
        OpShapes.layerNormAffine(x, weight, bias, out);
        rows.layerNormAffine(x, weight, bias, eps, out);
    }

    @Override
    public void layerNormModulate(Tensor x, Tensor scale, Tensor shift, double eps, Tensor out) {
        OpShapes.modulated("layerNormModulate", x, scale, out);
        OpShapes.modulated("layerNormModulate", x, shift, out);
        rows.layerNormModulate(x, scale, shift, eps, out);
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, double eps, Tensor out) {
        OpShapes.rmsNorm("rmsNorm", x, weight, out);
        rows.rmsNorm(x, weight, eps, out);
    }

    @Override
    public void rmsNormRope(Tensor x, Tensor weight, double eps, Rope rope, Tensor out) {
        OpShapes.rmsNormRope(x, weight, rope, out);
        rows.rmsNormRope(x, null, weight, null, eps, rope, out, null);
    }

    /** In one launch. */
    @Override
    public void rmsNormRope(Tensor q, Tensor k, Tensor normQ, Tensor normK, double eps, Rope rope, Tensor qOut, Tensor kOut) {
        OpShapes.rmsNormRope(q, k, normQ, normK, rope, qOut, kOut);
        rows.rmsNormRope(q, k, normQ, normK, eps, rope, qOut, kOut);
    }

    /** A query that sees no key gets zeros. */
    @Override
    public void attention(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask, Tensor out) {
        requireGoing();
        OpShapes.attention(q, k, v, heads, kvHeads, mask, out);
        attention.attend(q, k, v, heads, kvHeads, mask, out);
    }

    @Override
    public void gelu(Tensor x, Gelu kind, Tensor out) {
        OpShapes.alike("gelu", out, x);
        rows.gelu(x, kind, out);
    }

    @Override
    public void silu(Tensor x, Tensor out) {
        OpShapes.alike("silu", out, x);
        rows.silu(x, out);
    }

    @Override
    public void swiglu(Tensor a, Tensor b, Tensor out) {
        OpShapes.alike("swiglu", out, a, b);
        rows.swiglu(a, b, out);
    }

    @Override
    public void gatedResidual(Tensor x, Tensor gate, Tensor y, Tensor out) {
        OpShapes.modulated("gatedResidual", x, gate, out);
        OpShapes.alike("gatedResidual", out, x, y);
        rows.gatedResidual(x, gate, y, out);
    }

    @Override
    public void addScaled(Tensor x, Tensor y, double scale, Tensor out) {
        OpShapes.alike("addScaled", out, x, y);
        rows.addScaled(x, y, scale, out);
    }

    /** In the type of x: latents stay f32. */
    @Override
    public Tensor addScaled(Tensor x, Tensor y, double scale) {
        Tensor out = frames.alloc(x.shape(), x.dtype());
        addScaled(x, y, scale, out);
        return out;
    }

    @Override
    public void lerp(Tensor a, Tensor b, double weight, Tensor out) {
        OpShapes.alike("lerp", out, a, b);
        rows.lerp(a, b, weight, out);
    }

    /** In the type of a: prompt embeddings from the host stay f32. */
    @Override
    public Tensor lerp(Tensor a, Tensor b, double weight) {
        Tensor out = frames.alloc(a.shape(), a.dtype());
        lerp(a, b, weight, out);
        return out;
    }

    @Override
    public void embedding(Tensor table, int[] ids, Tensor out) {
        OpShapes.embedding(table, ids, out);
        try (Frame _ = frames.open()) {
            rows.embedding(table, integers(ids), out);
        }
    }

    /** In f32: the residual stream that begins here is a sum over all layers, and bf16 would round each of its steps, as diffusers does. */
    @Override
    public Tensor embedding(Tensor table, int[] ids, Shape shape) {
        Tensor out = frames.alloc(shape, rounding == Rounding.DIFFUSERS ? DType.BF16 : DType.F32);
        embedding(table, ids, out);
        return out;
    }

    @Override
    public void copy(Tensor x, Tensor out) {
        OpShapes.alike("copy", out, x);
        rows.copy(x, out);
    }

    @Override
    public Tensor convWeight(Tensor mapped) {
        cuda.requireOwner();
        return weights.convolution(mapped);
    }

    @Override
    public void conv2d(Tensor x, Conv2d layer, Tensor out) {
        requireGoing();
        OpShapes.conv2d(x, layer, out);
        pictures.conv2d(x, layer, null, out);
    }

    @Override
    public void conv2dAdded(Tensor x, Conv2d layer, Tensor added, Tensor out) {
        requireGoing();
        OpShapes.conv2d(x, layer, out);
        OpShapes.alike("conv2dAdded", out, added);
        pictures.conv2d(x, layer, added, out);
    }

    /** In f32. */
    @Override
    public Tensor rowMoments(Tensor x, Tensor before) {
        Tensor out = frames.alloc(Shape.of(x.dim(0), x.dim(1), before == null ? 2 : 6), DType.F32);
        rowMoments(x, before, out);
        return out;
    }

    @Override
    public void rowMoments(Tensor x, Tensor before, Tensor out) {
        OpShapes.rowMoments(x, before, out);
        reductions.rowMoments(x, before, out);
    }

    /** In f32. */
    @Override
    public Tensor channelEnergies(Tensor x, int[] bounds) {
        Tensor out = frames.alloc(Shape.of(x.dim(0), bounds.length / 2, x.dim(2)), DType.F32);
        channelEnergies(x, bounds, out);
        return out;
    }

    @Override
    public void channelEnergies(Tensor x, int[] bounds, Tensor out) {
        OpShapes.channelEnergies(x, bounds, out);
        reductions.channelEnergies(x, bounds, out);
    }

    /** In f32. */
    @Override
    public Tensor groupMoments(Tensor x, long groups) {
        Tensor out = frames.alloc(Shape.of(x.dim(0), 2, groups), DType.F32);
        groupMoments(x, out);
        return out;
    }

    @Override
    public void groupMoments(Tensor x, Tensor out) {
        OpShapes.groupMoments(x, out);
        pictures.groupMoments(x, out);
    }

    @Override
    public void groupNorm(Tensor x, Tensor moments, Tensor weight, Tensor bias, double eps, boolean silu, Tensor out) {
        OpShapes.groupNorm(x, moments, weight, bias, out);
        pictures.groupNorm(x, moments, weight, bias, eps, silu, out);
    }

    @Override
    public void upsampleNearest2x(Tensor x, Tensor out) {
        OpShapes.upsampleNearest2x(x, out);
        pictures.upsampleNearest2x(x, out);
    }

    /** Device address of integers in the innermost frame. */
    private long integers(int[] values) {
        Tensor bits = frames.alloc(Shape.of(Math.max(1, values.length)), DType.I32);
        try (Arena arena = Arena.ofConfined()) {
            staging.upload(arena.allocateFrom(ValueLayout.JAVA_INT, values), View.address(bits));
        }
        return View.address(bits);
    }

    private void requireGoing() {
        cuda.requireOwner();
        if (Thread.interrupted()) {
            throw new RunInterruptedException("interrupted between two operations on " + cuda.device());
        }
    }

    @Override
    public void close() {
        if (!closings.isEmpty()) {
            cuda.requireOwner();
            closeAll(null);
        }
    }
}
