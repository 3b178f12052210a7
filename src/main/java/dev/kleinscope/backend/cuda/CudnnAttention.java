package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.cudnn.Cudnn;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;

/**
 * Attention without a mask in bf16 by cuDNN's forward node of the backend API; q, k, v and out may be slices of wider rows. The
 * first engine that its heuristic names is taken, which was 1.4 to 2 times as fast as its second from 768 tokens to 4608, and the
 * plan, or that there is none, kept for the shape.
 *
 * <p>A causal mask on padded rows is left to our kernel. cuDNN's composite graph computes that too, if its products take the lengths
 * of the rows as overrides: on one H100, 512 tokens with 32/8 heads of 128 took 14.2 us (ours 16.5), with 37 valid keys 8.8 us (ours
 * 7.4), beside a launch that writes those lengths; but a first plan took 1.3 s on 9.19 and 1.9 s on 9.14. A bias in place of the
 * masks took 20 to 29 us; without the overrides the results were wrong.
 */
final class CudnnAttention implements AutoCloseable {

    private static final long ALIGNMENT_BYTES = 16;
    private static final long MOST_CHANNELS = 128;
    private static final int Q = 1;
    private static final int K = 2;
    private static final int V = 3;
    private static final int OUT = 4;
    private static final int SCALE = 5;
    private static final int OPERANDS = 5;

    private final Cuda cuda;
    private final DeviceMemory memory;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment handle;
    private final MemorySegment ids;
    private final MemorySegment pointers = arena.allocate(ValueLayout.ADDRESS, OPERANDS);
    private final MemorySegment workspacePointer = arena.allocate(ValueLayout.ADDRESS);
    private final Map<Shape, Plan> plans = new HashMap<>();

    /** Sizes, and elements from batch to batch and from row to row. */
    record Shape(long batch, long heads, long kvHeads, long queries, long keys, long headDim, long qBatch, long qRow, long kBatch,
            long kRow, long vBatch, long vRow, long outBatch, long outRow) {
    }

    /** @param plan null where cuDNN has no engine. @param scale on the host, alive while the plan is. @param text for messages */
    private record Plan(CudnnDescriptor plan, long workspaceBytes, MemorySegment scale, String text) {
    }

    CudnnAttention(Cuda cuda, DeviceMemory memory) {
        this.cuda = cuda;
        this.memory = memory;
        ids = arena.allocateFrom(ValueLayout.JAVA_LONG, Q, K, V, OUT, SCALE);
        cuda.requireCurrent();
        MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
        CudnnDescriptor.check(Cudnn.cudnnCreate(pointer), "cudnnCreate", "");
        handle = pointer.get(ValueLayout.ADDRESS, 0);
        CudnnDescriptor.check(Cudnn.cudnnSetStream(handle, cuda.stream()), "cudnnSetStream", "");
    }

    String describe() {
        long version = Cudnn.cudnnGetVersion();
        return "cuDNN " + version / 10_000 + "." + version % 10_000 / 100 + "." + version % 100;
    }

    /** Queues it; false if cuDNN cannot compute this shape, type or placement. */
    boolean attend(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, Tensor out) {
        long headDim = q.dim(2) / heads;
        if (headDim % 8 != 0 || headDim > MOST_CHANNELS || q.rows() == 0 || k.rows() == 0
                || !(suits(q) && suits(k) && suits(v) && suits(out))) {
            return false;
        }
        cuda.requireCurrent();
        Shape shape = new Shape(q.dim(0), heads, kvHeads, q.dim(1), k.dim(1), headDim, q.stride(0), q.stride(1), k.stride(0),
                k.stride(1), v.stride(0), v.stride(1), out.stride(0), out.stride(1));
        Plan plan = plans.computeIfAbsent(shape, this::plan);
        if (plan.plan == null) {
            return false;
        }
        DeviceMemory.Block workspace = memory.take(Math.max(1, plan.workspaceBytes), "cuDNN's workspace");
        try {
            execute(plan, View.address(q), View.address(k), View.address(v), View.address(out), workspace.address());
        } finally {
            memory.give(workspace);
        }
        return true;
    }

    /** A finalized variant pack takes no new pointers (status 2000 on 9.14 and 9.19), so that each call makes one. */
    private void execute(Plan plan, long q, long k, long v, long out, long workspace) {
        pointers.setAtIndex(ValueLayout.JAVA_LONG, Q - 1, q);
        pointers.setAtIndex(ValueLayout.JAVA_LONG, K - 1, k);
        pointers.setAtIndex(ValueLayout.JAVA_LONG, V - 1, v);
        pointers.setAtIndex(ValueLayout.JAVA_LONG, OUT - 1, out);
        pointers.setAtIndex(ValueLayout.JAVA_LONG, SCALE - 1, plan.scale.address());
        workspacePointer.set(ValueLayout.JAVA_LONG, 0, workspace);
        try (CudnnDescriptor pack = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR(), plan.text)) {
            pack.set(Cudnn.CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS(), Cudnn.CUDNN_TYPE_INT64(), OPERANDS, ids)
                    .set(Cudnn.CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS(), Cudnn.CUDNN_TYPE_VOID_PTR(), OPERANDS, pointers)
                    .set(Cudnn.CUDNN_ATTR_VARIANT_PACK_WORKSPACE(), Cudnn.CUDNN_TYPE_VOID_PTR(), 1, workspacePointer).finish();
            CudnnDescriptor.check(Cudnn.cudnnBackendExecute(handle, plan.plan.pointer(), pack.pointer()), "cudnnBackendExecute",
                    plan.text);
        }
    }

    private static boolean suits(Tensor tensor) {
        return tensor.dtype() == DType.BF16 && View.address(tensor) % ALIGNMENT_BYTES == 0
                && DType.BF16.bytes(tensor.stride(0)) % ALIGNMENT_BYTES == 0
                && DType.BF16.bytes(tensor.stride(1)) % ALIGNMENT_BYTES == 0;
    }

    private Plan plan(Shape s) {
        MemorySegment scale = arena.allocateFrom(ValueLayout.JAVA_FLOAT, (float) (1 / Math.sqrt(s.headDim)));
        String text = s.toString();
        try (CudnnDescriptor q = tensor(Q, s, s.heads, s.queries, s.qBatch, s.qRow);
                CudnnDescriptor k = tensor(K, s, s.kvHeads, s.keys, s.kBatch, s.kRow);
                CudnnDescriptor v = tensor(V, s, s.kvHeads, s.keys, s.vBatch, s.vRow);
                CudnnDescriptor out = tensor(OUT, s, s.heads, s.queries, s.outBatch, s.outRow);
                CudnnDescriptor scaling = scaleTensor(text);
                CudnnDescriptor operation = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR(), text)
                        .set(Cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC(), q)
                        .set(Cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC(), k)
                        .set(Cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC(), v)
                        .set(Cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC(), out)
                        .set(Cudnn.CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC(), scaling).finish();
                CudnnDescriptor graph = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR(), text)
                        .set(Cudnn.CUDNN_ATTR_OPERATIONGRAPH_OPS(), operation)
                        .setPointers(Cudnn.CUDNN_ATTR_OPERATIONGRAPH_HANDLE(), Cudnn.CUDNN_TYPE_HANDLE(), handle).finish();
                CudnnDescriptor heuristic = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR(), text)
                        .set(Cudnn.CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH(), graph)
                        .setEnum(Cudnn.CUDNN_ATTR_ENGINEHEUR_MODE(), Cudnn.CUDNN_TYPE_HEUR_MODE(), Cudnn.CUDNN_HEUR_MODE_A())
                        .finish();
                CudnnDescriptor engine = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_ENGINECFG_DESCRIPTOR(), text)) {
            if (heuristic.count(Cudnn.CUDNN_ATTR_ENGINEHEUR_RESULTS(), Cudnn.CUDNN_TYPE_BACKEND_DESCRIPTOR()) == 0) {
                return new Plan(null, 0, scale, text);
            }
            heuristic.fill(Cudnn.CUDNN_ATTR_ENGINEHEUR_RESULTS(), engine);
            CudnnDescriptor plan = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR(), text)
                    .setPointers(Cudnn.CUDNN_ATTR_EXECUTION_PLAN_HANDLE(), Cudnn.CUDNN_TYPE_HANDLE(), handle)
                    .set(Cudnn.CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG(), engine).finish();
            return new Plan(plan, plan.getLong(Cudnn.CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE()), scale, text);
        } catch (CudaException e) {
            if (e.outOfMemory()) {
                throw e;
            }
            // cuDNN says so where it supports a shape in no engine: our kernel takes it
            return new Plan(null, 0, scale, text);
        }
    }

    private static CudnnDescriptor tensor(int id, Shape s, long heads, long tokens, long batchStride, long row) {
        return new CudnnDescriptor(Cudnn.CUDNN_BACKEND_TENSOR_DESCRIPTOR(), s.toString())
                .setEnum(Cudnn.CUDNN_ATTR_TENSOR_DATA_TYPE(), Cudnn.CUDNN_TYPE_DATA_TYPE(), Cudnn.CUDNN_DATA_BFLOAT16())
                .set(Cudnn.CUDNN_ATTR_TENSOR_DIMENSIONS(), Cudnn.CUDNN_TYPE_INT64(), s.batch, heads, tokens, s.headDim)
                .set(Cudnn.CUDNN_ATTR_TENSOR_STRIDES(), Cudnn.CUDNN_TYPE_INT64(), batchStride, s.headDim, row, 1)
                .set(Cudnn.CUDNN_ATTR_TENSOR_UNIQUE_ID(), Cudnn.CUDNN_TYPE_INT64(), id)
                .set(Cudnn.CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT(), Cudnn.CUDNN_TYPE_INT64(), ALIGNMENT_BYTES).finish();
    }

    private static CudnnDescriptor scaleTensor(String shapes) {
        return new CudnnDescriptor(Cudnn.CUDNN_BACKEND_TENSOR_DESCRIPTOR(), shapes)
                .setEnum(Cudnn.CUDNN_ATTR_TENSOR_DATA_TYPE(), Cudnn.CUDNN_TYPE_DATA_TYPE(), Cudnn.CUDNN_DATA_FLOAT())
                .set(Cudnn.CUDNN_ATTR_TENSOR_DIMENSIONS(), Cudnn.CUDNN_TYPE_INT64(), 1, 1, 1, 1)
                .set(Cudnn.CUDNN_ATTR_TENSOR_STRIDES(), Cudnn.CUDNN_TYPE_INT64(), 1, 1, 1, 1)
                .set(Cudnn.CUDNN_ATTR_TENSOR_UNIQUE_ID(), Cudnn.CUDNN_TYPE_INT64(), SCALE)
                .set(Cudnn.CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT(), Cudnn.CUDNN_TYPE_INT64(), Float.BYTES)
                .setTrue(Cudnn.CUDNN_ATTR_TENSOR_IS_BY_VALUE()).finish();
    }

    @Override
    public void close() {
        plans.values().forEach(plan -> {
            if (plan.plan != null) {
                plan.plan.close();
            }
        });
        plans.clear();
        Cudnn.cudnnDestroy(handle);
        arena.close();
    }
}
