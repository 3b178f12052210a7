package dev.kleinscope.pipeline.intervene;

import dev.kleinscope.ops.HostBuffer;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.ActivationSource;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** Activations of a run, kept in memory of the host as they are, to be put into another run. The caller sees that they fit. */
public final class Capture implements Observer, ActivationSource, AutoCloseable {

    private record Key(int step, Pass pass, String point) {
    }

    private record Kept(HostBuffer buffer, Tensor tensor) {
    }

    private final Ops ops;
    private final Map<Key, Kept> kept = new HashMap<>();
    private final Map<Long, Deque<HostBuffer>> spare = new HashMap<>();
    private Set<String> points = Set.of();

    public Capture(Ops ops) {
        this.ops = ops;
    }

    /** Forgets what was kept, and keeps these points of the next run. */
    public void take(Set<String> wanted) {
        kept.values().forEach(each -> spare(each.buffer));
        kept.clear();
        points = new HashSet<>(wanted);
    }

    private void spare(HostBuffer buffer) {
        spare.computeIfAbsent(buffer.segment().byteSize(), _ -> new ArrayDeque<>()).push(buffer);
    }

    @Override
    public boolean wants(String point) {
        return points.contains(point);
    }

    @Override
    public void saw(int step, Pass pass, String point, Tensor tensor) {
        Shape shape = tensor.shape();
        DType dtype = tensor.dtype();
        long bytes = Math.max(1, dtype.bytes(shape.elements()));
        Key key = new Key(step, pass, point);
        Kept former = kept.remove(key);
        if (former != null) {
            spare(former.buffer);
        }
        Deque<HostBuffer> free = spare.get(bytes);
        HostBuffer buffer = free == null || free.isEmpty() ? ops.hostBuffer(bytes) : free.pop();
        ops.download(tensor, buffer.segment());
        kept.put(key, new Kept(buffer, Tensor.of(point, dtype, shape, new HostStorage(buffer.segment()))));
    }

    @Override
    public void done(int step, Pass pass) {
        ops.finish();
    }

    @Override
    public Tensor activation(int step, Pass pass, String point) {
        Kept found = kept.get(new Key(step, pass, point));
        if (found == null) {
            throw new InterventionException(point + " at step " + step + ", " + pass.label() + ", was not captured");
        }
        return found.tensor;
    }

    @Override
    public String describe() {
        return "captured run";
    }

    @Override
    public void close() {
        take(Set.of());
        spare.values().forEach(buffers -> buffers.forEach(HostBuffer::close));
        spare.clear();
    }
}
