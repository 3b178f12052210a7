package dev.kleinscope.backend.cpu;

import dev.kleinscope.bindings.onednn.OneDnn;
import dev.kleinscope.bindings.onednn.dnnl_exec_arg_t;
import dev.kleinscope.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** oneDNN's program for products of one shape, with the memory objects that it is given. */
final class OneDnnProduct implements AutoCloseable {

    /** Implementations that loop plainly are slower than our own kernel. */
    private static final String PLAIN = "ref";
    private static final long MAX_NAME = 256;

    /**
     * All that a program depends on. Strides are elements from row to row.
     *
     * @param x F32, or BF16 with weights in BF16
     * @param weight F32, BF16 or F16
     */
    record Key(long rows, long in, long out, long xStride, long weightStride, long outStride, DType x, DType weight, boolean biased) {
    }

    private final Arena arena = Arena.ofShared();
    private final MemorySegment primitive;
    private final MemorySegment[] memories;
    private final MemorySegment arguments;
    private final long scratchBytes;

    /** @param description of the primitive; stays the caller's */
    private OneDnnProduct(Key key, MemorySegment engine, MemorySegment description) {
        int[] names = {OneDnn.DNNL_ARG_SRC(), OneDnn.DNNL_ARG_WEIGHTS(), OneDnn.DNNL_ARG_DST(), OneDnn.DNNL_ARG_SCRATCHPAD(),
                OneDnn.DNNL_ARG_BIAS()};
        int count = key.biased ? names.length : names.length - 1;
        memories = new MemorySegment[count];
        arguments = dnnl_exec_arg_t.allocateArray(count, arena);
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        MemorySegment scratch = OneDnn.dnnl_primitive_desc_query_md(description, OneDnn.dnnl_query_scratchpad_md(), 0);
        scratchBytes = OneDnn.dnnl_memory_desc_get_size(scratch);
        check("dnnl_primitive_create", OneDnn.dnnl_primitive_create(handle, description), key);
        primitive = handle.get(ValueLayout.ADDRESS, 0);
        MemorySegment[] layouts = layouts(key, arena);
        try {
            for (int i = 0; i < count; i++) {
                MemorySegment layout = i < 3 ? layouts[i] : i == 3 ? scratch : layouts[3];
                check("dnnl_memory_create", OneDnn.dnnl_memory_create(handle, layout, engine, MemorySegment.NULL), key);
                memories[i] = handle.get(ValueLayout.ADDRESS, 0);
                MemorySegment argument = dnnl_exec_arg_t.asSlice(arguments, i);
                dnnl_exec_arg_t.arg(argument, names[i]);
                dnnl_exec_arg_t.memory(argument, memories[i]);
            }
        } finally {
            destroy(layouts);
        }
    }

    /** @return null where oneDNN has no good implementation for this shape and type on this machine */
    static OneDnnProduct create(Key key, MemorySegment engine) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
            check("dnnl_primitive_attr_create", OneDnn.dnnl_primitive_attr_create(handle), key);
            MemorySegment attributes = handle.get(ValueLayout.ADDRESS, 0);
            MemorySegment[] layouts = layouts(key, arena);
            try {
                check("dnnl_primitive_attr_set_deterministic", OneDnn.dnnl_primitive_attr_set_deterministic(attributes, 1), key);
                check("dnnl_primitive_attr_set_scratchpad_mode", OneDnn.dnnl_primitive_attr_set_scratchpad_mode(attributes,
                        OneDnn.dnnl_scratchpad_mode_user()), key);
                int status = OneDnn.dnnl_matmul_primitive_desc_create(handle, engine, layouts[0], layouts[1],
                        key.biased ? layouts[3] : MemorySegment.NULL, layouts[2], attributes);
                if (status == OneDnn.dnnl_unimplemented()) {
                    return null;
                }
                check("dnnl_matmul_primitive_desc_create", status, key);
            } finally {
                destroy(layouts);
                OneDnn.dnnl_primitive_attr_destroy(attributes);
            }
            MemorySegment description = handle.get(ValueLayout.ADDRESS, 0);
            try {
                check("dnnl_primitive_desc_query", OneDnn.dnnl_primitive_desc_query(description, OneDnn.dnnl_query_impl_info_str(), 0,
                        handle), key);
                String name = handle.get(ValueLayout.ADDRESS, 0).reinterpret(MAX_NAME).getString(0);
                return name.startsWith(PLAIN) ? null : new OneDnnProduct(key, engine, description);
            } finally {
                OneDnn.dnnl_primitive_desc_destroy(description);
            }
        }
    }

    /** Of x, the weights seen as [in, out], the output, and the bias. */
    private static MemorySegment[] layouts(Key key, Arena arena) {
        return new MemorySegment[] {
                layout(key, arena, number(key.x), key.rows, key.in, key.xStride, 1),
                layout(key, arena, number(key.weight), key.in, key.out, 1, key.weightStride),
                layout(key, arena, OneDnn.dnnl_f32(), key.rows, key.out, key.outStride, 1),
                layout(key, arena, OneDnn.dnnl_f32(), 1, key.out, key.out, 1)};
    }

    private static int number(DType type) {
        return switch (type) {
            case F32 -> OneDnn.dnnl_f32();
            case BF16 -> OneDnn.dnnl_bf16();
            case F16 -> OneDnn.dnnl_f16();
            default -> throw new IllegalArgumentException("no oneDNN type for " + type);
        };
    }

    private static MemorySegment layout(Key key, Arena arena, int type, long rows, long columns, long rowStride, long columnStride) {
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        check("dnnl_memory_desc_create_with_strides", OneDnn.dnnl_memory_desc_create_with_strides(handle, 2,
                arena.allocateFrom(ValueLayout.JAVA_LONG, rows, columns), type,
                arena.allocateFrom(ValueLayout.JAVA_LONG, rowStride, columnStride)), key);
        return handle.get(ValueLayout.ADDRESS, 0);
    }

    private static void destroy(MemorySegment[] layouts) {
        for (MemorySegment layout : layouts) {
            OneDnn.dnnl_memory_desc_destroy(layout);
        }
    }

    /** Bytes of scratch memory it needs while it runs. */
    long scratchBytes() {
        return scratchBytes;
    }

    /** @param bias f32, or null where the key has none */
    void run(MemorySegment stream, MemorySegment x, MemorySegment weight, MemorySegment out, MemorySegment scratch, MemorySegment bias) {
        give(0, x);
        give(1, weight);
        give(2, out);
        give(3, scratch);
        if (bias != null) {
            give(4, bias);
        }
        check("dnnl_primitive_execute", OneDnn.dnnl_primitive_execute(primitive, stream, memories.length, arguments), "a product");
        check("dnnl_stream_wait", OneDnn.dnnl_stream_wait(stream), "a product");
    }

    private void give(int argument, MemorySegment memory) {
        check("dnnl_memory_set_data_handle", OneDnn.dnnl_memory_set_data_handle(memories[argument], memory), "a product");
    }

    /** @throws OutOfMemoryError or IllegalStateException unless {@code status} is success */
    static void check(String function, int status, Object what) {
        if (status == OneDnn.dnnl_out_of_memory()) {
            throw new OutOfMemoryError("oneDNN gets no memory in " + function + " for " + what);
        }
        if (status != OneDnn.dnnl_success()) {
            throw new IllegalStateException("oneDNN: " + function + " answers with status " + status + " for " + what);
        }
    }

    @Override
    public void close() {
        for (MemorySegment memory : memories) {
            OneDnn.dnnl_memory_destroy(memory);
        }
        OneDnn.dnnl_primitive_destroy(primitive);
        arena.close();
    }
}
