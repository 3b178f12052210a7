package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import dev.kleinscope.ops.Repeated;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Operations as CUDA graphs, one from each watched point to the next, with memory of their own: a slab that no other work takes from.
 * Where whoever watches only queues sums, those are recorded too, and there is one graph.
 *
 * <p>A tensor seen at a watched point lives as long in a replay as it did when its frame ended in the recording; then its memory is
 * written by the next graph.
 */
final class Recording {

    /** A watched point after a graph. */
    private record Mark(String point, Tensor tensor) {
    }

    private static final String OVER = "the step that computed it";

    private final Cuda cuda;
    private final Kernels kernels;
    private final DeviceMemory memory;
    private final DeviceMemory.Pool slab = new DeviceMemory.Pool();
    private final boolean queued;

    /** Where sums of what is watched keep what they need meanwhile, the same each time. */
    private final DeviceMemory.Pool scratch = new DeviceMemory.Pool();
    private final List<Kernels.Launch> sums = new ArrayList<>();
    private final List<MemorySegment> graphs = new ArrayList<>();
    private final List<Mark> marks = new ArrayList<>();

    /** For memory seen at a mark, the first graph that it need not outlive. */
    private final Map<CudaStorage, Integer> ends = new IdentityHashMap<>();
    private List<Tensor> inputs = List.of();
    private Tensor result;

    /** @param queued whether whoever watches only queues sums, which are recorded too: then there is one graph */
    Recording(Cuda cuda, Kernels kernels, DeviceMemory memory, boolean queued) {
        this.cuda = cuda;
        this.kernels = kernels;
        this.queued = queued;
        this.memory = memory;
    }

    /** Runs {@code body} once, recording it. Its tensors are in this recording's memory. */
    void record(CudaFrames frames, List<Tensor> given, Repeated.Watcher watcher, Repeated body, InputCopy copy) {
        DeviceMemory.Pool before = memory.use(slab);
        frames.onEnd(storage -> ends.computeIfPresent((CudaStorage) storage, (marked, end) -> graphs.size()));
        try (var _ = frames.open()) {
            inputs = given.stream().map(input -> lasting(frames.alloc(input.shape(), input.dtype()))).toList();
            for (int i = 0; i < given.size(); i++) {
                copy.copy(given.get(i), inputs.get(i));
            }
            cuda.beginCapture();
            result = lasting(body.run(inputs, (point, tensor) -> {
                ends.put((CudaStorage) tensor.storage(), Integer.MAX_VALUE);
                cuda.look(() -> {
                    marks.add(new Mark(point, tensor));
                    if (queued) {
                        sums.addAll(sums(watcher, point, tensor));
                        return;
                    }
                    launch(endGraph());
                    memory.use(before);
                    watcher.saw(point, tensor);
                    memory.use(slab);
                    cuda.beginCapture();
                });
            }));
            launch(endGraph());
        } finally {
            if (cuda.capturing()) {
                cuda.abandonCapture();
            }
            frames.onEnd(storage -> { });
            memory.use(before);
            for (Tensor input : inputs) {
                MemorySegment read = ((CudaStorage) input.storage()).takeRead();
                if (read != null) {
                    cuda.await(read);
                }
            }
            cuda.awaitAll();
        }
    }

    /** How one tensor's values get into another. */
    interface InputCopy {
        void copy(Tensor from, Tensor to);
    }

    /** What a watcher queues that only queues sums. */
    private List<Kernels.Launch> sums(Repeated.Watcher watcher, String point, Tensor tensor) {
        DeviceMemory.Pool before = memory.use(scratch);
        try {
            return kernels.noting(() -> watcher.saw(point, tensor));
        } finally {
            memory.use(before);
        }
    }

    /**
     * Shows a watcher that only queues sums everything ahead of the replay that computes it.
     *
     * @return whether it would queue what was recorded
     */
    private boolean rehearsed(Repeated.Watcher watcher) {
        List<Kernels.Launch> now = new ArrayList<>();
        cuda.rehearse(() -> marks.forEach(mark -> now.addAll(sums(watcher, mark.point,
                mark.tensor.over(((CudaStorage) mark.tensor.storage()).again())))));
        if (now.size() != sums.size()) {
            return false;
        }
        for (int i = 0; i < now.size(); i++) {
            if (!now.get(i).same(sums.get(i))) {
                return false;
            }
        }
        return true;
    }

    /**
     * Queues what was recorded on other values.
     *
     * @return false if the watcher now queues other sums than were recorded: then nothing was done but {@link Repeated.Watcher#saw}
     */
    boolean replay(List<Tensor> given, Repeated.Watcher watcher, InputCopy copy) {
        try {
            if (queued && !rehearsed(watcher)) {
                return false;
            }
        } catch (CudaUnavailableException e) {
            // no room for what the watcher sums into; nothing was queued, and freeing this recording makes some
            return false;
        }
        for (int i = 0; i < given.size(); i++) {
            copy.copy(given.get(i), inputs.get(i));
        }
        Map<CudaStorage, CudaStorage> living = new IdentityHashMap<>();
        try {
            for (int i = 0; i < graphs.size(); i++) {
                int next = i;
                living.forEach((recorded, storage) -> {
                    if (ends.get(recorded) == next) {
                        end(storage);
                    }
                });
                launch(graphs.get(i));
                if (!queued && i < marks.size()) {
                    Mark mark = marks.get(i);
                    CudaStorage storage = living.computeIfAbsent((CudaStorage) mark.tensor.storage(), CudaStorage::again);
                    watcher.saw(mark.point, mark.tensor.over(storage));
                }
            }
        } finally {
            living.values().forEach(this::end);
        }
        return true;
    }

    /** Whether anything was seen at a watched point. */
    boolean seen() {
        return !marks.isEmpty();
    }

    /** Device memory that only this uses. */
    long bytes() {
        return DeviceMemory.bytes(slab) + DeviceMemory.bytes(scratch);
    }

    /** What the body returned; overwritten by the next replay. */
    Tensor result() {
        return result;
    }

    private void end(CudaStorage storage) {
        MemorySegment read = storage.free(OVER);
        if (read != null) {
            cuda.await(read);
        }
    }

    /** The same tensor, readable after its frame has ended: its memory is this recording's. */
    private static Tensor lasting(Tensor tensor) {
        return tensor.over(((CudaStorage) tensor.storage()).again());
    }

    /** The graph recorded last, ready to launch; null if nothing was queued. */
    private MemorySegment endGraph() {
        MemorySegment graph = cuda.endCapture();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment count = arena.allocate(ValueLayout.JAVA_LONG);
            Cuda.driver(CudaDriver.cuGraphGetNodes(graph, MemorySegment.NULL, count), "cuGraphGetNodes");
            MemorySegment ready = null;
            if (count.get(ValueLayout.JAVA_LONG, 0) > 0) {
                MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
                Cuda.driver(CudaDriver.cuGraphInstantiateWithFlags(pointer, graph, 0), "cuGraphInstantiate");
                ready = pointer.get(ValueLayout.ADDRESS, 0);
            }
            graphs.add(ready);
            return ready;
        } finally {
            Cuda.driver(CudaDriver.cuGraphDestroy(graph), "cuGraphDestroy");
        }
    }

    private void launch(MemorySegment graph) {
        cuda.awaitAll();
        if (graph != null) {
            Cuda.driver(CudaDriver.cuGraphLaunch(graph, cuda.stream()), "cuGraphLaunch");
        }
    }

    /** Waits for the device, and frees the graphs and their memory. */
    void free() {
        try {
            memory.free(slab);
            memory.free(scratch);
        } finally {
            for (MemorySegment graph : graphs) {
                if (graph != null) {
                    CudaDriver.cuGraphExecDestroy(graph);
                }
            }
            graphs.clear();
        }
    }
}
