package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import dev.kleinscope.ops.Repeated;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Recordings of what recurs. The first time operations run as they are, which also finds out their algorithms; the second time they
 * are recorded; from then on they are replayed. The least recently used recording goes when there are too many, or no memory.
 */
final class Recordings {

    private static final int MOST = 4;
    private static final int MOST_MET = 256;

    /** What a recording is good for. */
    private record Key(Object key, List<Shape> shapes, List<DType> types) {
    }

    private final Cuda cuda;
    private final DeviceMemory memory;
    private final CudaFrames frames;
    private final RowOperations rows;
    private final Map<Key, Recording> recordings = new LinkedHashMap<>(16, 0.75f, true);
    private final Set<Key> met = new LinkedHashSet<>();
    private boolean busy;

    Recordings(Cuda cuda, DeviceMemory memory, CudaFrames frames, RowOperations rows) {
        this.cuda = cuda;
        this.memory = memory;
        this.frames = frames;
        this.rows = rows;
    }

    /** See {@link dev.kleinscope.ops.Ops#repeat}. */
    Tensor run(Object name, List<Tensor> inputs, Repeated.Watcher watcher, Repeated body) {
        Key key = new Key(name, inputs.stream().map(Tensor::shape).toList(), inputs.stream().map(Tensor::dtype).toList());
        Recording recording = recordings.get(key);
        if (busy || recording == null && remember(key)) {
            return body.run(inputs, watcher);
        }
        busy = true;
        try {
            if (recording == null) {
                recording = record(key, inputs, watcher, body);
            } else {
                recording.replay(inputs, watcher, this::copy);
            }
            Tensor result = recording.result();
            Tensor out = frames.alloc(result.shape(), result.dtype());
            copy(result, out);
            return out.named(result.name());
        } finally {
            busy = false;
        }
    }

    /** Whether it was not met before. */
    private boolean remember(Key key) {
        if (met.size() >= MOST_MET) {
            met.clear();
        }
        return met.add(key);
    }

    private Recording record(Key key, List<Tensor> inputs, Repeated.Watcher watcher, Repeated body) {
        while (recordings.size() >= MOST) {
            forget(recordings.keySet().iterator().next());
        }
        // the slab takes what the first run needed
        memory.trim();
        Recording recording = new Recording(cuda, memory);
        try {
            recording.record(frames, inputs, watcher, body, this::copy);
        } catch (RuntimeException | Error e) {
            recording.free();
            throw e;
        }
        recordings.put(key, recording);
        return recording;
    }

    private void copy(Tensor from, Tensor to) {
        if (from.contiguous()) {
            long bytes = from.dtype().bytes(from.shape().elements());
            Cuda.driver(CudaDriver.cuMemcpyDtoDAsync_v2(View.address(to), View.address(from), bytes, cuda.stream()),
                    "cuMemcpyDtoDAsync", from);
        } else {
            rows.copy(from, to);
        }
    }

    private void forget(Key key) {
        recordings.remove(key).free();
    }

    /** Frees all recordings, unless one is in use; what recurs is recorded anew. @return whether there were any */
    boolean clear() {
        List<Key> ended = busy ? List.of() : List.copyOf(recordings.keySet());
        ended.forEach(this::forget);
        return !ended.isEmpty();
    }
}
