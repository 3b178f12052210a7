package dev.kleinscope.backend.cpu;

import dev.kleinscope.bindings.onednn.OneDnn;
import dev.kleinscope.bindings.onednn.dnnl_exec_arg_t;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What oneDNN made for operands of certain shapes, with the memory objects that it is given. Used by one thread at a time. */
final class OneDnnProgram implements AutoCloseable {

    /** All that a program depends on. */
    interface Key {

        /**
         * Makes it for as many threads as the calling one has set.
         *
         * @return null where oneDNN has no good implementation for these shapes and types on this machine
         */
        OneDnnProgram create(MemorySegment engine);
    }

    private final Arena arena = Arena.ofShared();
    private final MemorySegment primitive;
    private final MemorySegment[] memories;
    private final MemorySegment arguments;
    private final long scratchBytes;
    private final long[] bytes;

    /**
     * @param description of the primitive, which takes its scratch memory from the user; stays the caller's, as the layouts do
     * @param names of its arguments, without scratch memory
     * @param layouts of its arguments
     */
    OneDnnProgram(Key key, MemorySegment engine, MemorySegment description, int[] names, MemorySegment[] layouts) {
        int count = names.length + 1;
        bytes = new long[names.length];
        memories = new MemorySegment[count];
        arguments = dnnl_exec_arg_t.allocateArray(count, arena);
        MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
        MemorySegment scratch = OneDnn.dnnl_primitive_desc_query_md(description, OneDnn.dnnl_query_scratchpad_md(), 0);
        scratchBytes = OneDnn.dnnl_memory_desc_get_size(scratch);
        check("dnnl_primitive_create", OneDnn.dnnl_primitive_create(handle, description), key);
        primitive = handle.get(ValueLayout.ADDRESS, 0);
        for (int i = 0; i < count; i++) {
            boolean last = i == names.length;
            if (!last) {
                bytes[i] = OneDnn.dnnl_memory_desc_get_size(layouts[i]);
            }
            check("dnnl_memory_create", OneDnn.dnnl_memory_create(handle, last ? scratch : layouts[i], engine, MemorySegment.NULL), key);
            memories[i] = handle.get(ValueLayout.ADDRESS, 0);
            MemorySegment argument = dnnl_exec_arg_t.asSlice(arguments, i);
            dnnl_exec_arg_t.arg(argument, last ? OneDnn.DNNL_ARG_SCRATCHPAD() : names[i]);
            dnnl_exec_arg_t.memory(argument, memories[i]);
        }
    }

    /** Bytes of scratch memory it needs while it runs. */
    long scratchBytes() {
        return scratchBytes;
    }

    /** Bytes that an operand takes. @param operand in the order of the names that this was made with */
    long bytes(int operand) {
        return bytes[operand];
    }

    /** @param operands in the order of the names it was made with */
    void run(MemorySegment stream, MemorySegment scratch, MemorySegment... operands) {
        for (int i = 0; i < operands.length; i++) {
            give(i, operands[i]);
        }
        give(operands.length, scratch);
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
