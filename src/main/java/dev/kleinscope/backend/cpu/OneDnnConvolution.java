package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.OneDnnProduct.check;

import dev.kleinscope.bindings.onednn.OneDnn;
import dev.kleinscope.bindings.onednn.dnnl_exec_arg_t;
import dev.kleinscope.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** oneDNN's program for convolutions of pictures of one size, which wants the weights in a layout of its own. */
final class OneDnnConvolution implements AutoCloseable {

    /** Implementations that loop plainly are slower than our own kernels. */
    private static final String PLAIN = "ref";
    private static final long MAX_NAME = 256;

    /**
     * All that a program depends on. The picture is contiguous, channels innermost.
     *
     * @param outLine elements from one line of the result to the next
     * @param outPixel elements from one pixel of the result to the next
     * @param type of picture and weights
     */
    record Key(long height, long width, long in, long outHeight, long outWidth, long out, long kernelHeight, long kernelWidth, long stride,
            long left, long right, long outLine, long outPixel, DType type, boolean biased) {
    }

    private final Arena arena = Arena.ofShared();
    private final MemorySegment convolution;
    private final MemorySegment reorder;
    /** Of picture, weights in oneDNN's layout, result, scratch memory, the reorder's scratch memory, weights as they lie, bias. */
    private final MemorySegment[] memories;
    private final MemorySegment arguments;
    private final MemorySegment reorderArguments;
    private final long weightBytes;
    private final long scratchBytes;

    private OneDnnConvolution(Key key, MemorySegment engine, MemorySegment description, MemorySegment reordering, MemorySegment[] layouts) {
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        MemorySegment weights = OneDnn.dnnl_primitive_desc_query_md(description, OneDnn.dnnl_query_weights_md(), 0);
        MemorySegment scratch = OneDnn.dnnl_primitive_desc_query_md(description, OneDnn.dnnl_query_scratchpad_md(), 0);
        MemorySegment reorderScratch = OneDnn.dnnl_primitive_desc_query_md(reordering, OneDnn.dnnl_query_scratchpad_md(), 0);
        weightBytes = OneDnn.dnnl_memory_desc_get_size(weights);
        scratchBytes = Math.max(OneDnn.dnnl_memory_desc_get_size(scratch), OneDnn.dnnl_memory_desc_get_size(reorderScratch));
        check("dnnl_primitive_create", OneDnn.dnnl_primitive_create(handle, description), key);
        convolution = handle.get(ValueLayout.ADDRESS, 0);
        check("dnnl_primitive_create", OneDnn.dnnl_primitive_create(handle, reordering), key);
        reorder = handle.get(ValueLayout.ADDRESS, 0);
        MemorySegment[] all = {layouts[0], weights, layouts[2], scratch, reorderScratch, layouts[1], layouts[3]};
        memories = new MemorySegment[key.biased ? all.length : all.length - 1];
        for (int i = 0; i < memories.length; i++) {
            check("dnnl_memory_create", OneDnn.dnnl_memory_create(handle, all[i], engine, MemorySegment.NULL), key);
            memories[i] = handle.get(ValueLayout.ADDRESS, 0);
        }
        arguments = key.biased
                ? arguments(new int[] {OneDnn.DNNL_ARG_SRC(), OneDnn.DNNL_ARG_WEIGHTS(), OneDnn.DNNL_ARG_DST(), OneDnn.DNNL_ARG_SCRATCHPAD(),
                        OneDnn.DNNL_ARG_BIAS()}, 0, 1, 2, 3, 6)
                : arguments(new int[] {OneDnn.DNNL_ARG_SRC(), OneDnn.DNNL_ARG_WEIGHTS(), OneDnn.DNNL_ARG_DST(), OneDnn.DNNL_ARG_SCRATCHPAD()},
                        0, 1, 2, 3);
        reorderArguments = arguments(new int[] {OneDnn.DNNL_ARG_SRC(), OneDnn.DNNL_ARG_DST(), OneDnn.DNNL_ARG_SCRATCHPAD()}, 5, 1, 4);
    }

    private MemorySegment arguments(int[] names, int... of) {
        MemorySegment array = dnnl_exec_arg_t.allocateArray(names.length, arena);
        for (int i = 0; i < names.length; i++) {
            MemorySegment argument = dnnl_exec_arg_t.asSlice(array, i);
            dnnl_exec_arg_t.arg(argument, names[i]);
            dnnl_exec_arg_t.memory(argument, memories[of[i]]);
        }
        return array;
    }

    /** @return null where oneDNN has no good implementation for this size and type on this machine */
    static OneDnnConvolution create(Key key, MemorySegment engine) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
            int type = key.type == DType.F32 ? OneDnn.dnnl_f32() : OneDnn.dnnl_bf16();
            long taps = key.kernelHeight * key.kernelWidth;
            MemorySegment[] layouts = {
                layout(key, arena, type, new long[] {1, key.in, key.height, key.width},
                        new long[] {key.height * key.width * key.in, 1, key.width * key.in, key.in}),
                layout(key, arena, type, new long[] {key.out, key.in, key.kernelHeight, key.kernelWidth},
                        new long[] {taps * key.in, 1, key.kernelWidth * key.in, key.in}),
                layout(key, arena, OneDnn.dnnl_f32(), new long[] {1, key.out, key.outHeight, key.outWidth},
                        new long[] {key.outHeight * key.outLine, 1, key.outLine, key.outPixel}),
                layout(key, arena, OneDnn.dnnl_f32(), new long[] {key.out}, new long[] {1})};
            check("dnnl_memory_desc_create_with_tag", OneDnn.dnnl_memory_desc_create_with_tag(handle, 4,
                    arena.allocateFrom(ValueLayout.JAVA_LONG, key.out, key.in, key.kernelHeight, key.kernelWidth), type,
                    OneDnn.dnnl_format_tag_any()), key);
            MemorySegment anyWeights = handle.get(ValueLayout.ADDRESS, 0);
            check("dnnl_primitive_attr_create", OneDnn.dnnl_primitive_attr_create(handle), key);
            MemorySegment attributes = handle.get(ValueLayout.ADDRESS, 0);
            MemorySegment description = MemorySegment.NULL;
            MemorySegment reordering = MemorySegment.NULL;
            try {
                check("dnnl_primitive_attr_set_deterministic", OneDnn.dnnl_primitive_attr_set_deterministic(attributes, 1), key);
                check("dnnl_primitive_attr_set_scratchpad_mode", OneDnn.dnnl_primitive_attr_set_scratchpad_mode(attributes,
                        OneDnn.dnnl_scratchpad_mode_user()), key);
                int status = OneDnn.dnnl_convolution_forward_primitive_desc_create(handle, engine, OneDnn.dnnl_forward_inference(),
                        OneDnn.dnnl_convolution_direct(), layouts[0], anyWeights, key.biased ? layouts[3] : MemorySegment.NULL, layouts[2],
                        arena.allocateFrom(ValueLayout.JAVA_LONG, key.stride, key.stride), arena.allocateFrom(ValueLayout.JAVA_LONG, 0, 0),
                        arena.allocateFrom(ValueLayout.JAVA_LONG, 0, key.left), arena.allocateFrom(ValueLayout.JAVA_LONG, 0, key.right),
                        attributes);
                if (status == OneDnn.dnnl_unimplemented()) {
                    return null;
                }
                check("dnnl_convolution_forward_primitive_desc_create", status, key);
                description = handle.get(ValueLayout.ADDRESS, 0);
                check("dnnl_primitive_desc_query", OneDnn.dnnl_primitive_desc_query(description, OneDnn.dnnl_query_impl_info_str(), 0,
                        handle), key);
                if (handle.get(ValueLayout.ADDRESS, 0).reinterpret(MAX_NAME).getString(0).startsWith(PLAIN)) {
                    return null;
                }
                MemorySegment weights = OneDnn.dnnl_primitive_desc_query_md(description, OneDnn.dnnl_query_weights_md(), 0);
                check("dnnl_reorder_primitive_desc_create", OneDnn.dnnl_reorder_primitive_desc_create(handle, layouts[1], engine, weights,
                        engine, attributes), key);
                reordering = handle.get(ValueLayout.ADDRESS, 0);
                return new OneDnnConvolution(key, engine, description, reordering, layouts);
            } finally {
                for (MemorySegment layout : layouts) {
                    OneDnn.dnnl_memory_desc_destroy(layout);
                }
                OneDnn.dnnl_memory_desc_destroy(anyWeights);
                OneDnn.dnnl_primitive_attr_destroy(attributes);
                OneDnn.dnnl_primitive_desc_destroy(description);
                OneDnn.dnnl_primitive_desc_destroy(reordering);
            }
        }
    }

    private static MemorySegment layout(Key key, Arena arena, int type, long[] sizes, long[] strides) {
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        check("dnnl_memory_desc_create_with_strides", OneDnn.dnnl_memory_desc_create_with_strides(handle, sizes.length,
                arena.allocateFrom(ValueLayout.JAVA_LONG, sizes), type, arena.allocateFrom(ValueLayout.JAVA_LONG, strides)), key);
        return handle.get(ValueLayout.ADDRESS, 0);
    }

    /** Bytes of the weights in oneDNN's layout. */
    long weightBytes() {
        return weightBytes;
    }

    /** Bytes of scratch memory it needs while it runs. */
    long scratchBytes() {
        return scratchBytes;
    }

    /** Lays weights [out, height, width, in] as {@link #run} wants them. */
    void prepare(MemorySegment stream, MemorySegment weight, MemorySegment prepared, MemorySegment scratch) {
        give(5, weight);
        give(1, prepared);
        give(4, scratch);
        execute(reorder, stream, 3, reorderArguments);
    }

    /** @param bias f32, or null where the key has none */
    void run(MemorySegment stream, MemorySegment x, MemorySegment prepared, MemorySegment out, MemorySegment scratch, MemorySegment bias) {
        give(0, x);
        give(1, prepared);
        give(2, out);
        give(3, scratch);
        if (bias != null) {
            give(6, bias);
        }
        execute(convolution, stream, bias == null ? 4 : 5, arguments);
    }

    private static void execute(MemorySegment primitive, MemorySegment stream, int count, MemorySegment arguments) {
        check("dnnl_primitive_execute", OneDnn.dnnl_primitive_execute(primitive, stream, count, arguments), "a convolution");
        check("dnnl_stream_wait", OneDnn.dnnl_stream_wait(stream), "a convolution");
    }

    private void give(int memory, MemorySegment to) {
        check("dnnl_memory_set_data_handle", OneDnn.dnnl_memory_set_data_handle(memories[memory], to), "a convolution");
    }

    @Override
    public void close() {
        for (MemorySegment memory : memories) {
            OneDnn.dnnl_memory_destroy(memory);
        }
        OneDnn.dnnl_primitive_destroy(convolution);
        OneDnn.dnnl_primitive_destroy(reorder);
        arena.close();
    }
}
