package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.FrameName;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Storage;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The stack of frames of the CUDA backend. Every allocation gets a fresh {@link CudaStorage}: a tensor whose frame has ended
 * stays dead even when its memory serves another.
 */
final class CudaFrames implements AutoCloseable {

    private static final long SMALL_BYTES = 1 << 20;
    private static final long MOST_LATER_BYTES = 256 << 20;

    private final Cuda cuda;
    private final DeviceMemory memory;
    private final Staging staging;
    private Consumer<Storage> listener = storage -> { };
    private DeviceFrame innermost;
    private long opened;

    CudaFrames(Cuda cuda, DeviceMemory memory, Staging staging) {
        this.cuda = cuda;
        this.memory = memory;
        this.staging = staging;
    }

    /** Tells of each tensor's end from now on. */
    void onEnd(Consumer<Storage> told) {
        listener = told;
    }

    Frame open() {
        cuda.requireOwner();
        innermost = new DeviceFrame(innermost, FrameName.of(++opened, "cuda"));
        return innermost;
    }

    /** A tensor of undefined content in the innermost frame. @throws IllegalStateException if no frame is open */
    Tensor alloc(Shape shape, DType dtype) {
        cuda.requireOwner();
        if (innermost == null) {
            throw new IllegalStateException("cuda: cannot allocate " + shape + " outside a frame; open one with Ops.frame() first");
        }
        DeviceMemory.Block block = memory.take(dtype.bytes(shape.elements()), "an activation " + shape + " " + dtype);
        CudaStorage storage = new CudaStorage(staging, cuda.device(), block.address());
        innermost.blocks.put(storage, block);
        return Tensor.of("", dtype, shape, storage);
    }

    /** Ends all frames. */
    @Override
    public void close() {
        while (innermost != null) {
            innermost.close();
        }
    }

    private final class DeviceFrame implements Frame {

        private final DeviceFrame parent;
        private final String name;
        private final Map<Storage, DeviceMemory.Block> blocks = new IdentityHashMap<>();
        private boolean ended;

        DeviceFrame(DeviceFrame parent, String name) {
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
            DeviceMemory.Block block = blocks.remove(result.storage());
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
            DeviceMemory.Block block = blocks.remove(result.storage());
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

        private void end(Storage storage, DeviceMemory.Block block, String by) {
            cuda.endAfterLooks(() -> endNow(storage, block, by));
        }

        private void endNow(Storage storage, DeviceMemory.Block block, String by) {
            MemorySegment read = ((CudaStorage) storage).free(by);
            listener.accept(storage);
            // waiting for the copy of a few sums would hold up the computation
            if (read != null && !memory.recorded(block) && block.bytes() <= SMALL_BYTES && memory.laterBytes() < MOST_LATER_BYTES) {
                memory.giveLater(block);
                return;
            }
            if (read != null) {
                cuda.await(read);
            }
            memory.give(block);
        }

        private boolean ownedAbove(Storage storage) {
            for (DeviceFrame frame = parent; frame != null; frame = frame.parent) {
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
            return new IllegalArgumentException(tensor.name() + tensor.shape() + state + ": not allocated in " + name);
        }
    }
}
