package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.cublaslt.CublasLt;
import dev.kleinscope.bindings.cuda.cublaslt.cublasLtMatmulHeuristicResult_t;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;

/**
 * Products {@code out[rows, outWidth] = x[rows, in] weight[outWidth, in]^T} through cuBLASLt, accumulated in f32 and without TF32.
 * The first algorithm that its heuristic names is taken and kept for the shape.
 */
final class Products implements AutoCloseable {

    private static final long WORKSPACE_BYTES = 32L << 20;
    private static final long MOST_ALIGNMENT = 256;

    private final Cuda cuda;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment handle;
    private final MemorySegment one;
    private final MemorySegment zero;
    private final long workspace;
    private final Map<Shape, Plan> plans = new HashMap<>();

    /**
     * What an algorithm is chosen by: sizes, elements from row to row, element types as {@link View} numbers them, and the
     * largest power of two that divides each address.
     */
    record Shape(long rows, long in, long outWidth, long weightRow, long xRow, long outRow, int weightType, int xType, int outType,
            long weightAlignment, long xAlignment, long outAlignment) {
    }

    /** @param algorithm null where cuBLASLt has none */
    private record Plan(MemorySegment product, MemorySegment weight, MemorySegment x, MemorySegment out, MemorySegment algorithm) {
    }

    Products(Cuda cuda, DeviceMemory memory) {
        this.cuda = cuda;
        MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
        check(CublasLt.cublasLtCreate(pointer), "cublasLtCreate", "");
        handle = pointer.get(ValueLayout.ADDRESS, 0);
        one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f);
        zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0f);
        workspace = memory.keep(WORKSPACE_BYTES, "cuBLASLt's workspace");
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
        Plan plan = plans.computeIfAbsent(shape, this::plan);
        if (plan.algorithm == null) {
            return false;
        }
        MemorySegment result = MemorySegment.ofAddress(out);
        check(CublasLt.cublasLtMatmul(handle, plan.product, one, MemorySegment.ofAddress(weight), plan.weight,
                MemorySegment.ofAddress(x), plan.x, zero, result, plan.out, result, plan.out, plan.algorithm,
                MemorySegment.ofAddress(workspace), WORKSPACE_BYTES, cuda.stream()), "cublasLtMatmul", shape);
        return true;
    }

    /** cuBLASLt's matrices are column by column: out^T = weight x^T, with the weight transposed. */
    private Plan plan(Shape shape) {
        MemorySegment product = create(pointer -> CublasLt.cublasLtMatmulDescCreate(pointer, CublasLt.CUBLAS_COMPUTE_32F(),
                CublasLt.CUDA_R_32F()), "cublasLtMatmulDescCreate", shape);
        check(CublasLt.cublasLtMatmulDescSetAttribute(product, CublasLt.CUBLASLT_MATMUL_DESC_TRANSA(),
                arena.allocateFrom(ValueLayout.JAVA_INT, CublasLt.CUBLAS_OP_T()), Integer.BYTES), "cublasLtMatmulDescSetAttribute",
                shape);
        MemorySegment weight = layout(shape.weightType, shape.in, shape.outWidth, shape.weightRow, shape);
        MemorySegment x = layout(shape.xType, shape.in, shape.rows, shape.xRow, shape);
        MemorySegment out = layout(shape.outType, shape.outWidth, shape.rows, shape.outRow, shape);
        return new Plan(product, weight, x, out, algorithm(product, weight, x, out, shape));
    }

    private MemorySegment algorithm(MemorySegment product, MemorySegment weight, MemorySegment x, MemorySegment out, Shape shape) {
        MemorySegment preference = create(CublasLt::cublasLtMatmulPreferenceCreate, "cublasLtMatmulPreferenceCreate", shape);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES(), ValueLayout.JAVA_LONG.byteSize(), WORKSPACE_BYTES);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES(), Integer.BYTES, shape.weightAlignment);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES(), Integer.BYTES, shape.xAlignment);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES(), Integer.BYTES, shape.outAlignment);
        prefer(preference, CublasLt.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES(), Integer.BYTES, shape.outAlignment);
        MemorySegment result = cublasLtMatmulHeuristicResult_t.allocate(arena);
        MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
        int status = CublasLt.cublasLtMatmulAlgoGetHeuristic(handle, product, weight, x, out, out, preference, 1, result, count);
        CublasLt.cublasLtMatmulPreferenceDestroy(preference);
        return status == 0 && count.get(ValueLayout.JAVA_INT, 0) > 0 && cublasLtMatmulHeuristicResult_t.state(result) == 0
                ? cublasLtMatmulHeuristicResult_t.algo(result) : null;
    }

    private void prefer(MemorySegment preference, int attribute, long bytes, long value) {
        MemorySegment segment = arena.allocateFrom(ValueLayout.JAVA_LONG, value);
        check(CublasLt.cublasLtMatmulPreferenceSetAttribute(preference, attribute, segment, bytes),
                "cublasLtMatmulPreferenceSetAttribute", attribute + " = " + value);
    }

    private MemorySegment layout(int type, long rows, long columns, long row, Shape shape) {
        int dataType = type == View.typeNumber(dev.kleinscope.tensor.DType.F32) ? CublasLt.CUDA_R_32F() : CublasLt.CUDA_R_16BF();
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
