package dev.kleinscope.backend.cpu;

import dev.kleinscope.bindings.onednn.OneDnn;
import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;

/**
 * Products by oneDNN: f32 activations on weights as they lie, in f32, BF16 or F16, with sums in f32; and, where the CPU has them, of
 * bf16 activations on BF16 weights. What it has no implementation for goes to our own kernel.
 */
final class OneDnnProducts implements Products {

    /** Smaller weights, and fewer scores of a head, are not worth a call, and our own kernels round them less. */
    static final long LEAST_WEIGHTS = SmallLinear.LEAST_WEIGHTS;

    private final long leastWeights;
    private final Products fallback;
    private final int threads;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment engine;
    private final OneDnnPrograms programs;
    private final OneDnnAttention attention;
    private final OneDnnPrograms.Buffer bias = new OneDnnPrograms.Buffer();
    private final OneDnnPrograms.Buffer kernel = new OneDnnPrograms.Buffer();
    private float[] biasValues = new float[0];
    private boolean closed;

    /**
     * @param fallback for what oneDNN does not do
     * @throws OneDnnLibrary.Unavailable if it cannot be used here
     */
    OneDnnProducts(Products fallback, int threads) {
        this(fallback, threads, LEAST_WEIGHTS);
    }

    /** @param leastWeights how many numbers weights have, or scores a head of attention, that are worth a product in f32 */
    OneDnnProducts(Products fallback, int threads, long leastWeights) {
        this.leastWeights = leastWeights;
        this.fallback = fallback;
        this.threads = threads;
        OneDnnLibrary.setThreads(threads);
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        OneDnnProgram.check("dnnl_engine_create", OneDnn.dnnl_engine_create(handle, OneDnn.dnnl_cpu(), 0), "the CPU");
        engine = handle.get(ValueLayout.ADDRESS, 0);
        programs = new OneDnnPrograms(engine);
        attention = new OneDnnAttention(engine, threads, leastWeights);
    }

    @Override
    public String describe() {
        return "by oneDNN " + OneDnnLibrary.version() + " (" + OneDnnLibrary.isa() + ")";
    }

    /** Why bf16 activations cannot be multiplied here, in one sentence; null where they can. */
    static String whyNoBf16() {
        if (!OneDnnLibrary.isAvailable()) {
            return OneDnnLibrary.whyNot();
        }
        if (!OneDnnLibrary.hasBf16Products()) {
            return "this CPU has no bf16 products: oneDNN finds " + OneDnnLibrary.isa() + ", and they need AVX-512 with bf16, or AMX";
        }
        try (OneDnnProducts products = new OneDnnProducts(null, 1)) {
            long width = 512;
            return products.programs.get(OneDnnProduct.linear(width, width, width, width, width, width, DType.BF16, DType.BF16, false)) == null
                    ? "oneDNN " + OneDnnLibrary.version() + " has no product of bf16 for this CPU (" + OneDnnLibrary.isa() + ")" : null;
        }
    }

    @Override
    public OneDnnAttention attention() {
        requireOpen();
        return attention;
    }

    @Override
    public void linear(Tensor x, Linear layer, Tensor out) {
        if (!multiply(x, layer, out)) {
            fallback.linear(x, layer, out);
        }
    }

    /**
     * {@code out = x W^T + bias} in f32.
     *
     * @param x f32, or bf16 where the weights are
     * @return false, with nothing done, where oneDNN has no program for it
     */
    boolean multiply(Tensor x, Linear layer, Tensor out) {
        requireOpen();
        if (Thread.currentThread().isInterrupted()) {
            throw new RunInterruptedException("interrupted before a product");
        }
        long rows = x.rows();
        if (rows == 0 || layer.out() == 0) {
            return true;
        }
        if (!suits(layer.weight()) || x.dtype() == DType.F32 && layer.in() * layer.out() < leastWeights) {
            return false;
        }
        // of the calling thread, which need not be the one that called last
        OneDnnLibrary.setThreads(threads);
        RowRuns from = RowRuns.of(x);
        RowRuns to = RowRuns.of(out);
        long run = greatestCommonDivisor(from.length(), to.length());
        OneDnnProgram program = programs.get(key(run, from, x.dtype(), layer, to));
        if (program == null) {
            return false;
        }
        Tensor weight = layer.weight();
        MemorySegment weights = slice(weight, weight.offset(), layer.out(), weight.stride(0));
        MemorySegment added = layer.bias() == null ? null : widen(layer.bias());
        for (long row = 0; row < rows; row += run) {
            MemorySegment in = slice(x, x.rowOffset(row), run, from.stride());
            MemorySegment result = slice(out, out.rowOffset(row), run, to.stride());
            if (added == null) {
                programs.run(program, in, weights, result);
            } else {
                programs.run(program, in, weights, result, added);
            }
        }
        Reference.reachabilityFence(x);
        Reference.reachabilityFence(layer);
        Reference.reachabilityFence(out);
        return true;
    }

    /** For {@link Bf16Convolution}; also of pictures in f32 by weights in F32. */
    Bf16Convolution.Convolver.Prepared prepare(Conv2d layer, long height, long width, Tensor out) {
        requireOpen();
        Tensor weight = layer.weight();
        if (!weight.contiguous() || !HostRows.segment(weight).isNative() || weight.dtype() != DType.BF16 && weight.dtype() != DType.F32
                || layer.padding().top() != 0 || layer.padding().bottom() != 0) {
            return null;
        }
        OneDnnLibrary.setThreads(threads);
        OneDnnConvolution key = new OneDnnConvolution(height, width, layer.in(), out.dim(1), out.dim(2), layer.out(), layer.kernelHeight(),
                layer.kernelWidth(), layer.stride(), layer.padding().left(), layer.padding().right(), out.stride(1), out.stride(2),
                weight.dtype(), layer.bias() != null);
        OneDnnProgram convolution = programs.get(key);
        OneDnnProgram packing = convolution == null ? null : programs.get(new OneDnnConvolution.Packing(key));
        if (packing == null) {
            return null;
        }
        MemorySegment packed = kernel.atLeast(packing.bytes(1));
        programs.run(packing, slice(weight, weight.offset(), weight.rows(), weight.dim(-1)), packed);
        MemorySegment added = layer.bias() == null ? null : widen(layer.bias());
        Reference.reachabilityFence(layer);
        return (x, result) -> {
            if (Thread.currentThread().isInterrupted()) {
                throw new RunInterruptedException("interrupted before a convolution");
            }
            long bytes = x.dtype().bits() / Byte.SIZE;
            MemorySegment in = HostRows.segment(x).asSlice(x.offset() * bytes, x.shape().elements() * bytes);
            MemorySegment to = HostRows.segment(result).asSlice(result.offset() * Float.BYTES, ((result.dim(1) - 1) * result.stride(1)
                    + (result.dim(2) - 1) * result.stride(2) + result.dim(3)) * Float.BYTES);
            if (added == null) {
                programs.run(convolution, in, packed, to);
            } else {
                programs.run(convolution, in, packed, to, added);
            }
            Reference.reachabilityFence(x);
            Reference.reachabilityFence(result);
        };
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the cpu backend is closed");
        }
    }

    private static boolean suits(Tensor weight) {
        DType type = weight.dtype();
        return weight.dim(1) > 0 && (weight.dim(1) == 1 || weight.stride(1) == 1) && HostRows.segment(weight).isNative()
                && (type == DType.F32 || type == DType.BF16 || type == DType.F16);
    }

    private static OneDnnProduct key(long run, RowRuns from, DType x, Linear layer, RowRuns to) {
        // of one row alone the distance to the next says nothing
        return OneDnnProduct.linear(run, layer.in(), layer.out(), run == 1 ? layer.in() : from.stride(),
                layer.out() == 1 ? layer.in() : layer.weight().stride(0), run == 1 ? layer.out() : to.stride(), x, layer.weight().dtype(),
                layer.bias() != null);
    }

    private static long greatestCommonDivisor(long a, long b) {
        return b == 0 ? a : greatestCommonDivisor(b, a % b);
    }

    /** The memory of some rows and no more, which oneDNN could not tell. */
    private static MemorySegment slice(Tensor tensor, long offset, long rows, long stride) {
        long bytes = tensor.dtype().bits() / Byte.SIZE;
        return HostRows.segment(tensor).asSlice(offset * bytes, ((rows - 1) * stride + tensor.dim(-1)) * bytes);
    }

    private MemorySegment widen(Tensor values) {
        int count = Math.toIntExact(values.dim(-1));
        if (biasValues.length < count) {
            biasValues = new float[count];
        }
        values.storage().read(values.dtype(), values.rowOffset(0), count, biasValues, 0);
        MemorySegment to = bias.atLeast((long) count * Float.BYTES);
        MemorySegment.copy(biasValues, 0, to, ValueLayout.JAVA_FLOAT, 0, count);
        return to;
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            attention.close();
            programs.close();
            bias.close();
            kernel.close();
            OneDnn.dnnl_engine_destroy(engine);
            arena.close();
        }
    }
}
