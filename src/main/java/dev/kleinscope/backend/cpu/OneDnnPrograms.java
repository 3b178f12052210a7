package dev.kleinscope.backend.cpu;

import dev.kleinscope.bindings.onednn.OneDnn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * oneDNN's programs of the shapes used last, with a stream and the memory that they take while they run, so that a repeated step
 * allocates none. Used by one thread at a time.
 */
final class OneDnnPrograms implements AutoCloseable {

    private static final int KEPT = 256;
    private static final long ALIGNMENT = 64;

    private final MemorySegment engine;
    private final MemorySegment stream;
    private final Buffer scratch = new Buffer();
    private final Map<OneDnnProgram.Key, Optional<OneDnnProgram>> programs = new LinkedHashMap<>(16, 0.75f, true) {

        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<OneDnnProgram.Key, Optional<OneDnnProgram>> eldest) {
            if (size() <= KEPT) {
                return false;
            }
            eldest.getValue().ifPresent(OneDnnProgram::close);
            return true;
        }
    };

    /** @param engine stays the caller's, and open until this is closed */
    OneDnnPrograms(MemorySegment engine) {
        this.engine = engine;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment handle = arena.allocate(ValueLayout.ADDRESS);
            OneDnnProgram.check("dnnl_stream_create", OneDnn.dnnl_stream_create(handle, engine, OneDnn.dnnl_stream_default_flags()),
                    "the CPU");
            stream = handle.get(ValueLayout.ADDRESS, 0);
        }
    }

    /** @return null where oneDNN has no good implementation */
    OneDnnProgram get(OneDnnProgram.Key key) {
        Optional<OneDnnProgram> known = programs.get(key);
        if (known == null) {
            known = Optional.ofNullable(key.create(engine));
            programs.put(key, known);
        }
        return known.orElse(null);
    }

    /** @param operands in the order of the names that the program was made with */
    void run(OneDnnProgram program, MemorySegment... operands) {
        program.run(stream, scratch.atLeast(program.scratchBytes()), operands);
    }

    @Override
    public void close() {
        programs.values().forEach(program -> program.ifPresent(OneDnnProgram::close));
        programs.clear();
        OneDnn.dnnl_stream_destroy(stream);
        scratch.close();
    }

    /** Memory that grows to the largest size asked for. */
    static final class Buffer implements AutoCloseable {

        private Arena owner = Arena.ofShared();
        private MemorySegment memory = owner.allocate(ALIGNMENT, ALIGNMENT);

        MemorySegment atLeast(long bytes) {
            if (memory.byteSize() < bytes) {
                Arena larger = Arena.ofShared();
                memory = larger.allocate(bytes, ALIGNMENT);
                owner.close();
                owner = larger;
            }
            return memory;
        }

        @Override
        public void close() {
            owner.close();
        }
    }
}
