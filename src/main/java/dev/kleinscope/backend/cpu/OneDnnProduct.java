package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.OneDnnProgram.check;

import dev.kleinscope.bindings.onednn.OneDnn;
import dev.kleinscope.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * A product {@code out[rows, out] = x[rows, in] W[in, out]} as oneDNN is asked for it. Strides are elements.
 *
 * @param xStride from row to row
 * @param termStride between the weights of one column's neighbouring terms
 * @param columnStride between the weights of neighbouring columns for one term
 * @param outStride from row to row
 * @param x F32, or BF16 with weights in BF16
 * @param weight F32, BF16 or F16
 * @param biased whether a bias is added, f32
 * @param added whether the product is added to what the output holds
 * @param packedFor 0, or weights lie, instead of in strides, as {@link OneDnnPacking} packs them for so many rows
 */
record OneDnnProduct(long rows, long in, long out, long xStride, long termStride, long columnStride, long outStride, DType x, DType weight,
        boolean biased, boolean added, long packedFor) implements OneDnnProgram.Key {

    /** Implementations that loop plainly are slower than our own kernel. */
    private static final String PLAIN = "ref";
    private static final long MAX_NAME = 256;

    /** Of a linear layer, whose weights are [out, in]. */
    static OneDnnProduct linear(long rows, long in, long out, long xStride, long weightStride, long outStride, DType x, DType weight,
            boolean biased) {
        return new OneDnnProduct(rows, in, out, xStride, 1, weightStride, outStride, x, weight, biased, false, 0);
    }

    /** In f32, by packed weights. */
    static OneDnnProduct packed(long packedFor, long rows, long in, long out, long xStride, long outStride, boolean added) {
        return new OneDnnProduct(rows, in, out, xStride, 0, 0, outStride, DType.F32, DType.F32, false, added, packedFor);
    }

    @Override
    public OneDnnProgram create(MemorySegment engine) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment weights = packedFor > 0 ? packedLayout(engine, arena)
                    : layout(this, arena, number(weight), in, out, termStride, columnStride);
            if (weights == null) {
                return null;
            }
            MemorySegment[] layouts = layouts(weights, arena);
            try {
                MemorySegment description = describe(engine, layouts, arena);
                if (description == null) {
                    return null;
                }
                try {
                    int[] names = {OneDnn.DNNL_ARG_SRC(), OneDnn.DNNL_ARG_WEIGHTS(), OneDnn.DNNL_ARG_DST(), OneDnn.DNNL_ARG_BIAS()};
                    return isPlain(description, arena) ? null
                            : new OneDnnProgram(this, engine, description, biased ? names : Arrays.copyOf(names, 3), layouts);
                } finally {
                    OneDnn.dnnl_primitive_desc_destroy(description);
                }
            } finally {
                destroy(layouts);
            }
        }
    }

    /** How the weights are packed; null where they cannot be. To be destroyed. */
    MemorySegment packedLayout(MemorySegment engine, Arena arena) {
        OneDnnProduct first = packed(packedFor, packedFor, in, out, xStride, outStride, false);
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        MemorySegment[] layouts = first.layouts(any(arena), arena);
        try {
            MemorySegment description = first.describe(engine, layouts, arena);
            if (description == null) {
                return null;
            }
            try {
                MemorySegment best = OneDnn.dnnl_primitive_desc_query_md(description, OneDnn.dnnl_query_weights_md(), 0);
                check("dnnl_memory_desc_clone", OneDnn.dnnl_memory_desc_clone(handle, best), this);
                return handle.get(ValueLayout.ADDRESS, 0);
            } finally {
                OneDnn.dnnl_primitive_desc_destroy(description);
            }
        } finally {
            destroy(layouts);
        }
    }

    private MemorySegment any(Arena arena) {
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        check("dnnl_memory_desc_create_with_tag", OneDnn.dnnl_memory_desc_create_with_tag(handle, 2,
                arena.allocateFrom(ValueLayout.JAVA_LONG, in, out), number(weight), OneDnn.dnnl_format_tag_any()), this);
        return handle.get(ValueLayout.ADDRESS, 0);
    }

    /** Of a product; null where oneDNN has none. To be destroyed. */
    private MemorySegment describe(MemorySegment engine, MemorySegment[] layouts, Arena arena) {
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        MemorySegment attributes = attributes(this, arena);
        try {
            check("dnnl_primitive_attr_set_deterministic", OneDnn.dnnl_primitive_attr_set_deterministic(attributes, 1), this);
            if (added) {
                add(attributes, handle);
            }
            int status = OneDnn.dnnl_matmul_primitive_desc_create(handle, engine, layouts[0], layouts[1],
                    biased ? layouts[3] : MemorySegment.NULL, layouts[2], attributes);
            if (status == OneDnn.dnnl_unimplemented()) {
                return null;
            }
            check("dnnl_matmul_primitive_desc_create", status, this);
            return handle.get(ValueLayout.ADDRESS, 0);
        } finally {
            OneDnn.dnnl_primitive_attr_destroy(attributes);
        }
    }

    /** Of a program that takes its scratch memory from the user. To be destroyed. */
    static MemorySegment attributes(OneDnnProgram.Key key, Arena arena) {
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        check("dnnl_primitive_attr_create", OneDnn.dnnl_primitive_attr_create(handle), key);
        MemorySegment attributes = handle.get(ValueLayout.ADDRESS, 0);
        check("dnnl_primitive_attr_set_scratchpad_mode", OneDnn.dnnl_primitive_attr_set_scratchpad_mode(attributes,
                OneDnn.dnnl_scratchpad_mode_user()), key);
        return attributes;
    }

    private void add(MemorySegment attributes, MemorySegment handle) {
        check("dnnl_post_ops_create", OneDnn.dnnl_post_ops_create(handle), this);
        MemorySegment operations = handle.get(ValueLayout.ADDRESS, 0);
        try {
            check("dnnl_post_ops_append_sum", OneDnn.dnnl_post_ops_append_sum(operations, 1f, 0, OneDnn.dnnl_data_type_undef()), this);
            check("dnnl_primitive_attr_set_post_ops", OneDnn.dnnl_primitive_attr_set_post_ops(attributes, operations), this);
        } finally {
            OneDnn.dnnl_post_ops_destroy(operations);
        }
    }

    private boolean isPlain(MemorySegment description, Arena arena) {
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        check("dnnl_primitive_desc_query", OneDnn.dnnl_primitive_desc_query(description, OneDnn.dnnl_query_impl_info_str(), 0, handle), this);
        return handle.get(ValueLayout.ADDRESS, 0).reinterpret(MAX_NAME).getString(0).startsWith(PLAIN);
    }

    /** Of x, the weights, the output, and the bias. */
    private MemorySegment[] layouts(MemorySegment weights, Arena arena) {
        return new MemorySegment[] {
                layout(this, arena, number(x), rows, in, xStride, 1),
                weights,
                layout(this, arena, OneDnn.dnnl_f32(), rows, out, outStride, 1),
                layout(this, arena, OneDnn.dnnl_f32(), 1, out, out, 1)};
    }

    static int number(DType type) {
        return switch (type) {
            case F32 -> OneDnn.dnnl_f32();
            case BF16 -> OneDnn.dnnl_bf16();
            case F16 -> OneDnn.dnnl_f16();
            default -> throw new IllegalArgumentException("no oneDNN type for " + type);
        };
    }

    /** Of a matrix. To be destroyed. */
    static MemorySegment layout(OneDnnProgram.Key key, Arena arena, int type, long rows, long columns, long rowStride, long columnStride) {
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
}
