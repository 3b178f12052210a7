package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.OneDnnProgram.check;

import dev.kleinscope.bindings.onednn.OneDnn;
import dev.kleinscope.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * A convolution of a picture of one size, as oneDNN is asked for it; by weights that {@link Packing} packed. The picture is contiguous,
 * channels innermost; the result is f32.
 *
 * @param outLine elements from one line of the result to the next
 * @param outPixel elements from one pixel of the result to the next
 * @param type of picture and weights
 */
record OneDnnConvolution(long height, long width, long in, long outHeight, long outWidth, long out, long kernelHeight, long kernelWidth,
        long stride, long left, long right, long outLine, long outPixel, DType type, boolean biased) implements OneDnnProgram.Key {

    @Override
    public OneDnnProgram create(MemorySegment engine) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment[] layouts = layouts(arena);
            MemorySegment description = MemorySegment.NULL;
            try {
                description = describe(engine, layouts, arena);
                if (description == null) {
                    return null;
                }
                MemorySegment weights = OneDnn.dnnl_primitive_desc_query_md(description, OneDnn.dnnl_query_weights_md(), 0);
                int[] names = {OneDnn.DNNL_ARG_SRC(), OneDnn.DNNL_ARG_WEIGHTS(), OneDnn.DNNL_ARG_DST(), OneDnn.DNNL_ARG_BIAS()};
                return new OneDnnProgram(this, engine, description, biased ? names : Arrays.copyOf(names, 3),
                        new MemorySegment[] {layouts[0], weights, layouts[2], layouts[3]});
            } finally {
                destroy(description, layouts);
            }
        }
    }

    /** The packing of weights [out, height, width, in] as a convolution wants them. */
    record Packing(OneDnnConvolution convolution) implements OneDnnProgram.Key {

        @Override
        public OneDnnProgram create(MemorySegment engine) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
                MemorySegment[] layouts = convolution.layouts(arena);
                MemorySegment attributes = OneDnnProduct.attributes(this, arena);
                MemorySegment description = MemorySegment.NULL;
                MemorySegment packing = MemorySegment.NULL;
                try {
                    description = convolution.describe(engine, layouts, arena);
                    if (description == null) {
                        return null;
                    }
                    MemorySegment packed = OneDnn.dnnl_primitive_desc_query_md(description, OneDnn.dnnl_query_weights_md(), 0);
                    check("dnnl_reorder_primitive_desc_create", OneDnn.dnnl_reorder_primitive_desc_create(handle, layouts[1], engine, packed,
                            engine, attributes), this);
                    packing = handle.get(ValueLayout.ADDRESS, 0);
                    return new OneDnnProgram(this, engine, packing, new int[] {OneDnn.DNNL_ARG_SRC(), OneDnn.DNNL_ARG_DST()},
                            new MemorySegment[] {layouts[1], packed});
                } finally {
                    OneDnn.dnnl_primitive_desc_destroy(packing);
                    OneDnn.dnnl_primitive_attr_destroy(attributes);
                    destroy(description, layouts);
                }
            }
        }
    }

    /** Null where oneDNN has no good implementation. To be destroyed. */
    private MemorySegment describe(MemorySegment engine, MemorySegment[] layouts, Arena arena) {
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        check("dnnl_memory_desc_create_with_tag", OneDnn.dnnl_memory_desc_create_with_tag(handle, 4,
                arena.allocateFrom(ValueLayout.JAVA_LONG, out, in, kernelHeight, kernelWidth), OneDnnProduct.number(type),
                OneDnn.dnnl_format_tag_any()), this);
        MemorySegment anyWeights = handle.get(ValueLayout.ADDRESS, 0);
        MemorySegment attributes = OneDnnProduct.attributes(this, arena);
        try {
            check("dnnl_primitive_attr_set_deterministic", OneDnn.dnnl_primitive_attr_set_deterministic(attributes, 1), this);
            int status = OneDnn.dnnl_convolution_forward_primitive_desc_create(handle, engine, OneDnn.dnnl_forward_inference(),
                    OneDnn.dnnl_convolution_direct(), layouts[0], anyWeights, biased ? layouts[3] : MemorySegment.NULL, layouts[2],
                    arena.allocateFrom(ValueLayout.JAVA_LONG, stride, stride), arena.allocateFrom(ValueLayout.JAVA_LONG, 0, 0),
                    arena.allocateFrom(ValueLayout.JAVA_LONG, 0, left), arena.allocateFrom(ValueLayout.JAVA_LONG, 0, right), attributes);
            if (status == OneDnn.dnnl_unimplemented()) {
                return null;
            }
            check("dnnl_convolution_forward_primitive_desc_create", status, this);
            MemorySegment description = handle.get(ValueLayout.ADDRESS, 0);
            if (OneDnnProgram.isPlain(description, arena)) {
                OneDnn.dnnl_primitive_desc_destroy(description);
                return null;
            }
            return description;
        } finally {
            OneDnn.dnnl_memory_desc_destroy(anyWeights);
            OneDnn.dnnl_primitive_attr_destroy(attributes);
        }
    }

    /** Of the picture, the weights as they lie, the result, and the bias. */
    private MemorySegment[] layouts(Arena arena) {
        int number = OneDnnProduct.number(type);
        return new MemorySegment[] {
                OneDnnProgram.layout(this, arena, number, new long[] {1, in, height, width}, new long[] {height * width * in, 1, width * in, in}),
                OneDnnProgram.layout(this, arena, number, new long[] {out, in, kernelHeight, kernelWidth},
                        new long[] {kernelHeight * kernelWidth * in, 1, kernelWidth * in, in}),
                OneDnnProgram.layout(this, arena, OneDnn.dnnl_f32(), new long[] {1, out, outHeight, outWidth},
                        new long[] {outHeight * outLine, 1, outLine, outPixel}),
                OneDnnProgram.layout(this, arena, OneDnn.dnnl_f32(), new long[] {out}, new long[] {1})};
    }

    private static void destroy(MemorySegment description, MemorySegment[] layouts) {
        if (description != null) {
            OneDnn.dnnl_primitive_desc_destroy(description);
        }
        for (MemorySegment layout : layouts) {
            OneDnn.dnnl_memory_desc_destroy(layout);
        }
    }
}
