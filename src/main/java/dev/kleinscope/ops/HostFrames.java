package dev.kleinscope.ops;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Storage;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The stack of frames of a host backend, and the pool of native memory behind it.
 *
 * <p>Every allocation gets a fresh {@link HostStorage}: a tensor whose frame has ended stays dead even when its memory serves
 * another. Used by one thread at a time.
 */
public final class HostFrames implements AutoCloseable {

    private static final long ALIGNMENT_BYTES = 64;

    private final String owner;
    private final Arena arena = Arena.ofShared();
    private final HostPool pool = new HostPool();
    private HostFrame innermost;
    private long opened;
    private boolean closed;

    /** @param owner the backend, as messages name it */
    public HostFrames(String owner) {
        this.owner = owner;
    }

    /** Opens a frame inside the innermost one. */
    public Frame open() {
        requireOpen();
        innermost = new HostFrame(innermost, FrameName.of(++opened, owner));
        return innermost;
    }

    /** An f32 tensor of undefined content in the innermost frame. @throws IllegalStateException if no frame is open */
    public Tensor alloc(Shape shape) {
        requireOpen();
        if (innermost == null) {
            throw new IllegalStateException(
                    owner + ": cannot allocate " + shape + " outside a frame; open one with Ops.frame() first");
        }
        long bytes = DType.F32.bytes(shape.elements());
        HostPool.Span block = pool.take(bytes);
        HostStorage storage = new HostStorage(block.memory().asSlice(0, bytes));
        innermost.blocks.put(storage, block);
        return Tensor.of("", DType.F32, shape, storage);
    }

    /** A copy of {@code values} in the innermost frame. */
    public Tensor input(HostTensor values) {
        Tensor tensor = alloc(values.shape());
        MemorySegment segment = ((HostStorage) tensor.storage()).segment();
        MemorySegment.copy(values.values(), 0, segment, ValueLayout.JAVA_FLOAT, 0, values.values().length);
        return tensor.named(values.name());
    }

    /** Memory for a weight, outside all frames: it lasts until this closes. */
    public MemorySegment keep(long bytes) {
        requireOpen();
        return arena.allocate(Math.max(1, bytes), ALIGNMENT_BYTES);
    }

    /** Native memory the pool holds, whether in use or free. */
    public long bytesHeld() {
        return pool.bytesHeld();
    }

    /** Memory of tensors in frames that are open. */
    public long bytesInUse() {
        return pool.bytesInUse();
    }

    /** Hands out the blocks that wait in the pool, whose content nobody needs. */
    public void unused(Consumer<MemorySegment> action) {
        pool.unused(action);
    }

    /** The most memory ever in use at once. */
    public long peakBytes() {
        return pool.peakBytes();
    }

    /** Ends all frames and returns the memory to the system. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        while (innermost != null) {
            innermost.close();
        }
        closed = true;
        pool.close();
        arena.close();
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the " + owner + " backend is closed");
        }
    }

    private final class HostFrame implements Frame {

        private final HostFrame parent;
        private final String name;
        private final Map<Storage, HostPool.Span> blocks = new IdentityHashMap<>();
        private boolean ended;

        HostFrame(HostFrame parent, String name) {
            this.parent = parent;
            this.name = name;
        }

        /** Does nothing to a tensor that an enclosing frame owns already. */
        @Override
        public Tensor escape(Tensor result) {
            requireLive();
            if (parent == null) {
                throw new IllegalStateException(result + ": " + name + " has no parent to escape to");
            }
            HostPool.Span block = blocks.remove(result.storage());
            if (block != null) {
                parent.blocks.put(result.storage(), block);
            } else if (!ownedAbove(result.storage())) {
                throw foreign(result);
            }
            return result;
        }

        @Override
        public void release(Tensor result) {
            requireLive();
            HostPool.Span block = blocks.remove(result.storage());
            if (block == null) {
                throw foreign(result);
            }
            end(result.storage(), block, "a release in " + name);
        }

        @Override
        public void close() {
            if (ended) {
                return;
            }
            if (innermost != this) {
                throw new IllegalStateException(name + " closed while " + innermost.name + " inside it is open");
            }
            blocks.forEach((storage, block) -> end(storage, block, name));
            blocks.clear();
            ended = true;
            innermost = parent;
        }

        private void end(Storage storage, HostPool.Span block, String by) {
            ((HostStorage) storage).free(by);
            pool.give(block);
        }

        private boolean ownedAbove(Storage storage) {
            for (HostFrame frame = parent; frame != null; frame = frame.parent) {
                if (frame.blocks.containsKey(storage)) {
                    return true;
                }
            }
            return false;
        }

        private void requireLive() {
            if (ended) {
                throw new IllegalStateException(name + " is closed");
            }
        }

        private IllegalArgumentException foreign(Tensor tensor) {
            String state = tensor.storage().freedBy() == null ? "" : ", freed by " + tensor.storage().freedBy();
            return new IllegalArgumentException(
                    tensor.name() + tensor.shape() + state + ": not allocated in " + name);
        }
    }
}
