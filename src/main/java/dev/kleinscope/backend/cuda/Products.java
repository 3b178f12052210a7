package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.cublaslt.CublasLt;
import dev.kleinscope.bindings.cuda.cublaslt.cublasLtMatmulAlgo_t;
import dev.kleinscope.bindings.cuda.cublaslt.cublasLtMatmulHeuristicResult_t;
import dev.kleinscope.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Products {@code out[rows, outWidth] = x[rows, in] weight[outWidth, in]^T} through cuBLASLt, accumulated in f32 and without TF32.
 *
 * <p>For a large product the algorithms that its heuristic names are timed when the shape is first met, and the fastest is kept in
 * {@link AlgorithmCache}; for a small one the first is taken, and for all where nothing can be kept: the choice by time could differ
 * from run to run, and with it the last bits.
 */
final class Products implements AutoCloseable {

    private static final long WORKSPACE_BYTES = 32L << 20;
    private static final long MOST_ALIGNMENT = 256;
    private static final int CANDIDATES = 16;

    /** Multiplications and additions from which on an algorithm is chosen by time. */
    private static final long TIMED_OPERATIONS = 500_000_000;

    /** Set to "false", the first algorithm that cuBLASLt names is taken. */
    private static final boolean TIMED = !"false".equals(System.getProperty("kleinscope.cuda.tune"));

    private final Cuda cuda;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment handle;
    private final MemorySegment one;
    private final MemorySegment zero;
    private final long workspace;
    private final ProductTuner tuner;
    private final AlgorithmCache cache;
    private final boolean timed;
    private final Map<Shape, Plan> plans = new HashMap<>();

    /**
     * What an algorithm is chosen by: sizes, elements from row to row, element types as {@link View} numbers them, and the
     * largest power of two that divides each address.
     */
    record Shape(long rows, long in, long outWidth, long weightRow, long xRow, long outRow, int weightType, int xType, int outType,
            long weightAlignment, long xAlignment, long outAlignment) {

        boolean timed() {
            return 2 * rows * in * outWidth >= TIMED_OPERATIONS;
        }

        String key() {
            return rows + " " + in + " " + outWidth + " " + weightRow + " " + xRow + " " + outRow + " " + weightType + " " + xType + " "
                    + outType + " " + weightAlignment + " " + xAlignment + " " + outAlignment;
        }
    }

    /** Device addresses of one product. */
    private record Operands(MemorySegment x, MemorySegment weight, MemorySegment out) {
    }

    /** @param algorithm null where cuBLASLt has none */
    private record Plan(MemorySegment product, MemorySegment weight, MemorySegment x, MemorySegment out, MemorySegment algorithm) {

        Plan with(MemorySegment chosen) {
            return new Plan(product, weight, x, out, chosen);
        }
    }

    Products(Cuda cuda, DeviceMemory memory) {
        this.cuda = cuda;
        MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
        check(CublasLt.cublasLtCreate(pointer), "cublasLtCreate", "");
        handle = pointer.get(ValueLayout.ADDRESS, 0);
        one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f);
        zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0f);
        workspace = memory.keep(WORKSPACE_BYTES, "cuBLASLt's workspace");
        tuner = new ProductTuner(cuda, memory);
        cache = new AlgorithmCache(cuda.name() + " sm_" + cuda.computeCapability() + " cublaslt " + CublasLt.cublasLtGetVersion());
        timed = TIMED && cache.lasting();
    }

    /** Queues a product; false if cuBLASLt has no algorithm for it. Addresses are the device's, row lengths in elements. */
    boolean multiply(long x, int xType, long xRow, long weight, int weightType, long weightRow, long out, int outType, long outRow,
            long rows, long in, long outWidth) {
        cuda.requireOwner();
        if (rows == 0 || outWidth == 0) {
            return true;
        }
        Shape shape = new Shape(rows, in, outWidth, weightRow, xRow, outRow, weightType, xType, outType, alignment(weight),
                alignment(x), alignment(out));
        Operands operands = new Operands(MemorySegment.ofAddress(x), MemorySegment.ofAddress(weight), MemorySegment.ofAddress(out));
        Plan plan = plans.get(shape);
        if (plan == null) {
            plan = plan(shape, operands);
            plans.put(shape, plan);
        }
        if (plan.algorithm == null) {
            return false;
        }
        check(run(plan, operands), "cublasLtMatmul", shape);
        return true;
    }

    private int run(Plan plan, Operands operands) {
        return CublasLt.cublasLtMatmul(handle, plan.product, one, operands.weight, plan.weight, operands.x, plan.x, zero, operands.out,
                plan.out, operands.out, plan.out, plan.algorithm, MemorySegment.ofAddress(workspace), WORKSPACE_BYTES, cuda.stream());
    }

    /** cuBLASLt's matrices are column by column: out^T = weight x^T, with the weight transposed. */
    private Plan plan(Shape shape, Operands operands) {
        MemorySegment product = create(pointer -> CublasLt.cublasLtMatmulDescCreate(pointer, CublasLt.CUBLAS_COMPUTE_32F(),
                CublasLt.CUDA_R_32F()), "cublasLtMatmulDescCreate", shape);
        check(CublasLt.cublasLtMatmulDescSetAttribute(product, CublasLt.CUBLASLT_MATMUL_DESC_TRANSA(),
                arena.allocateFrom(ValueLayout.JAVA_INT, CublasLt.CUBLAS_OP_T()), Integer.BYTES), "cublasLtMatmulDescSetAttribute",
                shape);
        MemorySegment weight = layout(shape.weightType, shape.in, shape.outWidth, shape.weightRow, shape);
        MemorySegment x = layout(shape.xType, shape.in, shape.rows, shape.xRow, shape);
        MemorySegment out = layout(shape.outType, shape.outWidth, shape.rows, shape.outRow, shape);
        return choose(new Plan(product, weight, x, out, null), shape, operands);
    }

    /** The kept algorithm, the fastest, or the first; and none where cuBLASLt names none. */
    private Plan choose(Plan plan, Shape shape, Operands operands) {
        boolean timing = timed && shape.timed();
        byte[] kept = timing ? cache.get(shape.key()) : null;
        if (kept != null) {
            MemorySegment algorithm = cublasLtMatmulAlgo_t.allocate(arena).copyFrom(MemorySegment.ofArray(kept));
            if (usable(plan, algorithm)) {
                return plan.with(algorithm);
            }
        }
        if (!timing || cuda.capturing()) {
            List<MemorySegment> named = candidates(plan, shape, 1);
            return named.isEmpty() ? plan : plan.with(named.getFirst());
        }
        // some that the heuristic names turn out not to run
        List<Plan> plans = candidates(plan, shape, CANDIDATES).stream().flatMap(named -> swizzled(plan, named)).map(plan::with)
                .filter(candidate -> run(candidate, operands) == 0).toList();
        if (plans.isEmpty()) {
            return plan;
        }
        long weightBytes = (shape.weightType == View.typeNumber(DType.F32) ? Float.BYTES : Short.BYTES) * shape.outWidth * shape.in;
        Plan fastest = plans.get(tuner.fastest(plans.size(), weightBytes,
                index -> check(run(plans.get(index), operands), "cublasLtMatmul", shape)));
        byte[] chosen = cache.put(shape.key(), fastest.algorithm.toArray(ValueLayout.JAVA_BYTE));
        MemorySegment algorithm = cublasLtMatmulAlgo_t.allocate(arena).copyFrom(MemorySegment.ofArray(chosen));
        return usable(plan, algorithm) ? plan.with(algorithm) : fastest;
    }

    /** An algorithm, and the same with its tiles in the other order, which changes what the second-level cache finds. */
    private Stream<MemorySegment> swizzled(Plan plan, MemorySegment algorithm) {
        try (Arena call = Arena.ofConfined()) {
            MemorySegment swizzle = call.allocate(ValueLayout.JAVA_INT);
            MemorySegment other = cublasLtMatmulAlgo_t.allocate(arena).copyFrom(algorithm);
            int attribute = CublasLt.CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING();
            int status = CublasLt.cublasLtMatmulAlgoConfigGetAttribute(algorithm, attribute, swizzle, Integer.BYTES,
                    call.allocate(ValueLayout.JAVA_LONG));
            swizzle.set(ValueLayout.JAVA_INT, 0, 1 - swizzle.get(ValueLayout.JAVA_INT, 0));
            boolean exists = status == 0
                    && CublasLt.cublasLtMatmulAlgoConfigSetAttribute(other, attribute, swizzle, Integer.BYTES) == 0 && usable(plan, other);
            return exists ? Stream.of(algorithm, other) : Stream.of(algorithm);
        }
    }

    private boolean usable(Plan plan, MemorySegment algorithm) {
        try (Arena call = Arena.ofConfined()) {
            MemorySegment result = cublasLtMatmulHeuristicResult_t.allocate(call);
            return CublasLt.cublasLtMatmulAlgoCheck(handle, plan.product, plan.weight, plan.x, plan.out, plan.out, algorithm, result) == 0
                    && cublasLtMatmulHeuristicResult_t.workspaceSize(result) <= WORKSPACE_BYTES;
        }
    }

    private List<MemorySegment> candidates(Plan plan, Shape shape, int most) {
        MemorySegment preference = create(CublasLt::cublasLtMatmulPreferenceCreate, "cublasLtMatmulPreferenceCreate", shape);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES(), ValueLayout.JAVA_LONG.byteSize(), WORKSPACE_BYTES);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES(), Integer.BYTES, shape.weightAlignment);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES(), Integer.BYTES, shape.xAlignment);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES(), Integer.BYTES, shape.outAlignment);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES(), Integer.BYTES, shape.outAlignment);
        try (Arena call = Arena.ofConfined()) {
            MemorySegment results = cublasLtMatmulHeuristicResult_t.allocateArray(most, call);
            MemorySegment count = call.allocate(ValueLayout.JAVA_INT);
            int status = CublasLt.cublasLtMatmulAlgoGetHeuristic(handle, plan.product, plan.weight, plan.x, plan.out, plan.out,
                    preference, most, results, count);
            List<MemorySegment> algorithms = new ArrayList<>();
            for (int i = 0; status == 0 && i < count.get(ValueLayout.JAVA_INT, 0); i++) {
                MemorySegment result = cublasLtMatmulHeuristicResult_t.asSlice(results, i);
                if (cublasLtMatmulHeuristicResult_t.state(result) == 0) {
                    algorithms.add(cublasLtMatmulAlgo_t.allocate(arena).copyFrom(cublasLtMatmulHeuristicResult_t.algo(result)));
                }
            }
            return algorithms;
        } finally {
            CublasLt.cublasLtMatmulPreferenceDestroy(preference);
        }
    }

    private void prefer(MemorySegment preference, int attribute, long bytes, long value) {
        MemorySegment segment = arena.allocateFrom(ValueLayout.JAVA_LONG, value);
        check(CublasLt.cublasLtMatmulPreferenceSetAttribute(preference, attribute, segment, bytes),
                "cublasLtMatmulPreferenceSetAttribute", attribute + " = " + value);
    }

    private MemorySegment layout(int type, long rows, long columns, long row, Shape shape) {
        int dataType = type == View.typeNumber(DType.F32) ? CublasLt.CUDA_R_32F() : CublasLt.CUDA_R_16BF();
        return create(pointer -> CublasLt.cublasLtMatrixLayoutCreate(pointer, dataType, rows, columns, row),
                "cublasLtMatrixLayoutCreate", shape);
    }

    private interface Creation {
        int into(MemorySegment pointer);
    }

    private MemorySegment create(Creation creation, String call, Object shape) {
        MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
        check(creation.into(pointer), call, shape);
        return pointer.get(ValueLayout.ADDRESS, 0);
    }

    private static long alignment(long address) {
        return Math.min(MOST_ALIGNMENT, Long.lowestOneBit(address));
    }

    private static void check(int status, String call, Object shapes) {
        if (status != 0) {
            throw new CudaException(call, status, Cuda.string(CublasLt.cublasLtGetStatusName(status)), shapes.toString());
        }
    }

    @Override
    public void close() {
        for (Plan plan : plans.values()) {
            CublasLt.cublasLtMatmulDescDestroy(plan.product);
            CublasLt.cublasLtMatrixLayoutDestroy(plan.weight);
            CublasLt.cublasLtMatrixLayoutDestroy(plan.x);
            CublasLt.cublasLtMatrixLayoutDestroy(plan.out);
        }
        plans.clear();
        CublasLt.cublasLtDestroy(handle);
        arena.close();
    }
}
