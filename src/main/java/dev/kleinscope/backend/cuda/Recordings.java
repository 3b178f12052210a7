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
    private record Key(Object key, boolean queued, List<Shape> shapes, List<DType> types) {
    }

    private final Cuda cuda;
    private final Kernels kernels;
    private final DeviceMemory memory;
    private final CudaFrames frames;
    private final RowOperations rows;
    private final Map<Key, Recording> recordings = new LinkedHashMap<>(16, 0.75f, true);
    private final Set<Key> met = new LinkedHashSet<>();
    private final Set<Key> plain = new LinkedHashSet<>();
    private boolean busy;

    Recordings(Cuda cuda, Kernels kernels, DeviceMemory memory, CudaFrames frames, RowOperations rows) {
        this.cuda = cuda;
        this.kernels = kernels;
        this.memory = memory;
        this.frames = frames;
        this.rows = rows;
    }

    /** See {@link dev.kleinscope.ops.Ops#repeat}. */
    Tensor run(Object name, List<Tensor> inputs, Repeated.Watcher watcher, Repeated body) {
        Key key = new Key(name, watcher.queues(), inputs.stream().map(Tensor::shape).toList(), inputs.stream().map(Tensor::dtype).toList());
        Recording recording = recordings.get(key);
        if (busy || plain.contains(key)) {
            return body.run(inputs, watcher);
        }
        if (recording == null && !met.contains(key)) {
            Tensor result = body.run(inputs, watcher);
            // only what ran to its end has found out all that a recording needs to know
            remember(met, key);
            return result;
        }
        busy = true;
        try {
            if (recording != null) {
                if (recording.replay(inputs, watcher, this::copy)) {
                    return result(recording);
                }
                watcher.again();
                forget(key);
            }
            // a recording takes what the first run needed, and a little more
            while (recordings.size() >= MOST) {
                forget(recordings.keySet().iterator().next());
            }
            memory.trim();
            Recording fresh = new Recording(cuda, kernels, memory, watcher.queues());
            try {
                fresh.record(frames, inputs, watcher, body, this::copy);
                Tensor result = result(fresh);
                recordings.put(key, fresh);
                return result;
            } catch (RuntimeException | Error e) {
                free(fresh, e);
                if (!(e instanceof CudaUnavailableException) || fresh.seen() && !watcher.queues()) {
                    throw e;
                }
            }
            if (watcher.queues()) {
                watcher.again();
            }
            // it has no room for memory of its own, but ran without
            remember(plain, key);
            return body.run(inputs, watcher);
        } finally {
            busy = false;
        }
    }

    private Tensor result(Recording recording) {
        Tensor result = recording.result();
        Tensor out = frames.alloc(result.shape(), result.dtype());
        copy(result, out);
        return out.named(result.name());
    }

    private static void free(Recording failed, Throwable cause) {
        try {
            failed.free();
        } catch (RuntimeException e) {
            cause.addSuppressed(e);
        }
    }

    private static void remember(Set<Key> keys, Key key) {
        if (keys.size() >= MOST_MET) {
            keys.clear();
        }
        keys.add(key);
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

    /** Bytes that {@link #clear} would give back. */
    long bytes() {
        return busy ? 0 : recordings.values().stream().mapToLong(Recording::bytes).sum();
    }

    private void forget(Key key) {
        recordings.remove(key).free();
    }

    /** Frees all recordings, unless one is in use; what recurs is recorded anew. @return whether there were any */
    boolean clear() {
        List<Key> ended = busy ? List.of() : List.copyOf(recordings.keySet());
        if (!busy) {
            met.clear();
            plain.clear();
        }
        ended.forEach(this::forget);
        return !ended.isEmpty();
    }
}
