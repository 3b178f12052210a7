package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.OpShapes;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Weights on the device, uploaded once each. Vectors become f32; matrices and kernels f32 or bf16 by the precision: bf16 ones
 * travel as they are.
 */
final class DeviceWeights {

    private static final int THREADS = 256;
    private static final long MOST_BLOCKS = 1 << 16;

    private final Cuda cuda;
    private final DeviceMemory memory;
    private final Staging staging;
    private final Kernels kernels;
    private final DType matrices;
    private final Map<Tensor, Tensor> uploaded = new IdentityHashMap<>();
    private final Map<Tensor, Tensor> convolutions = new IdentityHashMap<>();

    DeviceWeights(Cuda cuda, DeviceMemory memory, Staging staging, Kernels kernels, Precision precision) {
        this.cuda = cuda;
        this.memory = memory;
        this.staging = staging;
        this.kernels = kernels;
        matrices = precision == Precision.BF16 ? DType.BF16 : DType.F32;
    }

    /** @param mapped contiguous, on the host; or a weight that this returned */
    Tensor weight(Tensor mapped) {
        return mapped.storage() instanceof CudaStorage ? mapped : uploaded.computeIfAbsent(mapped, this::upload);
    }

    /** @param mapped [out, in, height, width]. @return [out, height, width, in] */
    Tensor convolution(Tensor mapped) {
        OpShapes.convWeight(mapped);
        return convolutions.computeIfAbsent(mapped, this::uploadConvolution);
    }

    /** What so many elements of matrices take. */
    long bytes(long elements) {
        return matrices.bytes(elements);
    }

    /** Forgets weights whose memory is about to be freed. @param by who frees it */
    void forget(Set<Long> addresses, String by) {
        for (Map<Tensor, Tensor> weights : List.of(uploaded, convolutions)) {
            weights.values().removeIf(weight -> {
                CudaStorage storage = (CudaStorage) weight.storage();
                boolean gone = addresses.contains(storage.rawAddress());
                if (gone) {
                    storage.free(by);
                }
                return gone;
            });
        }
    }

    private Tensor upload(Tensor mapped) {
        DType target = mapped.shape().rank() < 2 ? DType.F32 : matrices;
        MemorySegment source = source(mapped);
        long address = memory.keep(target.bytes(mapped.shape().elements()), "weight " + mapped.name() + mapped.shape());
        Tensor weight = Tensor.of(mapped.name(), target, mapped.shape(), new CudaStorage(staging, cuda.device(), address));
        if (mapped.dtype() == target) {
            staging.upload(source, address);
        } else {
            long count = mapped.shape().elements();
            transformed(source, mapped, raw -> kernels.launch("rows.convert", blocks(count), 1, 1, THREADS, raw,
                    View.typeNumber(mapped.dtype()), View.of(weight), count));
        }
        return weight;
    }

    private Tensor uploadConvolution(Tensor mapped) {
        long count = mapped.shape().elements();
        Shape shape = Shape.of(mapped.dim(0), mapped.dim(2), mapped.dim(3), mapped.dim(1));
        MemorySegment source = source(mapped);
        long address = memory.keep(matrices.bytes(count), "weight " + mapped.name() + mapped.shape());
        Tensor weight = Tensor.of(mapped.name(), matrices, shape, new CudaStorage(staging, cuda.device(), address));
        transformed(source, mapped, raw -> kernels.launch("rows.channels_last", blocks(count), 1, 1, THREADS, raw,
                View.typeNumber(mapped.dtype()), View.of(weight), count, (int) mapped.dim(1),
                (int) (mapped.dim(2) * mapped.dim(3))));
        return weight;
    }

    private interface Transform {
        void from(long raw);
    }

    private void transformed(MemorySegment source, Tensor mapped, Transform transform) {
        DeviceMemory.Block raw = memory.take(source.byteSize(), "the upload of " + mapped.name() + mapped.shape());
        staging.upload(source, raw.address());
        transform.from(raw.address());
        memory.give(raw);
    }

    private static MemorySegment source(Tensor mapped) {
        if (!mapped.contiguous()) {
            throw new IllegalArgumentException("weight " + mapped.name() + mapped.shape() + ": expected a contiguous tensor");
        }
        View.typeNumber(mapped.dtype());
        return HostRows.segment(mapped).asSlice(mapped.dtype().bytes(mapped.offset()),
                mapped.dtype().bytes(mapped.shape().elements()));
    }

    private static long blocks(long count) {
        return Math.clamp(Math.ceilDiv(count, THREADS), 1, MOST_BLOCKS);
    }
}
