package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.OpShapes;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.DrawnStorage;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Weights on the device, uploaded once each, or drawn there if nothing stores them. Vectors become f32; matrices and kernels f32 or
 * bf16 by the precision: bf16 ones travel as they are.
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
    /** Device addresses of what random weights are drawn from. */
    private final Map<short[], Long> tables = new IdentityHashMap<>();

    DeviceWeights(Cuda cuda, DeviceMemory memory, Staging staging, Kernels kernels, Precision precision) {
        this.cuda = cuda;
        this.memory = memory;
        this.staging = staging;
        this.kernels = kernels;
        matrices = precision == Precision.BF16 ? DType.BF16 : DType.F32;
    }

    /** @param mapped contiguous, on the host or drawn; or a weight that this returned */
    Tensor weight(Tensor mapped) {
        return mapped.storage() instanceof CudaStorage ? mapped : uploaded.computeIfAbsent(mapped, this::upload);
    }

    /** Matrices of one width [.., in] in one block of memory, each a slice of it. */
    List<Tensor> weights(List<Tensor> mapped) {
        Tensor first = mapped.getFirst();
        if (mapped.stream().anyMatch(tensor -> tensor.shape().rank() != 2 || tensor.dim(1) != first.dim(1)
                || tensor.storage() instanceof CudaStorage || uploaded.containsKey(tensor))) {
            return mapped.stream().map(this::weight).toList();
        }
        mapped.forEach(DeviceWeights::requireStored);
        Shape shape = Shape.of(mapped.stream().mapToLong(tensor -> tensor.dim(0)).sum(), first.dim(1));
        long address = memory.keep(matrices.bytes(shape.elements()), "weights " + first.name() + shape + " and what is beside it");
        Tensor block = Tensor.of("", matrices, shape, new CudaStorage(staging, cuda.device(), address));
        List<Tensor> slices = new ArrayList<>();
        long row = 0;
        for (Tensor tensor : mapped) {
            Tensor slice = block.slice(0, row, row + tensor.dim(0)).named(tensor.name());
            fill(tensor, slice);
            uploaded.put(tensor, slice);
            slices.add(slice);
            row += tensor.dim(0);
        }
        return List.copyOf(slices);
    }

    /** The layers as one, if their weights fill one block from its start in this order and none has a bias; else null. */
    static Linear whole(List<Linear> layers) {
        Tensor first = layers.getFirst().weight();
        long end = 0;
        for (Linear layer : layers) {
            Tensor weight = layer.weight();
            if (layer.bias() != null || weight.storage() != first.storage() || weight.offset() != end || !weight.contiguous()
                    || weight.dim(1) != first.dim(1)) {
                return null;
            }
            end += weight.shape().elements();
        }
        return new Linear(Tensor.of("", first.dtype(), Shape.of(end / first.dim(1), first.dim(1)), first.storage()));
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
        tables.values().removeIf(addresses::contains);
    }

    private Tensor upload(Tensor mapped) {
        DType target = mapped.shape().rank() < 2 ? DType.F32 : matrices;
        requireStored(mapped);
        long address = memory.keep(target.bytes(mapped.shape().elements()), "weight " + mapped.name() + mapped.shape());
        Tensor weight = Tensor.of(mapped.name(), target, mapped.shape(), new CudaStorage(staging, cuda.device(), address));
        fill(mapped, weight);
        return weight;
    }

    /** Brings a weight to the device, converted there if need be. */
    private void fill(Tensor mapped, Tensor weight) {
        if (mapped.dtype() == weight.dtype()) {
            bring(mapped, View.address(weight));
        } else {
            long count = mapped.shape().elements();
            transformed(mapped, raw -> kernels.launch("rows.convert", blocks(count), 1, 1, THREADS, raw,
                    View.typeNumber(mapped.dtype()), View.of(weight), count));
        }
    }

    private Tensor uploadConvolution(Tensor mapped) {
        long count = mapped.shape().elements();
        Shape shape = Shape.of(mapped.dim(0), mapped.dim(2), mapped.dim(3), mapped.dim(1));
        requireStored(mapped);
        long address = memory.keep(matrices.bytes(count), "weight " + mapped.name() + mapped.shape());
        Tensor weight = Tensor.of(mapped.name(), matrices, shape, new CudaStorage(staging, cuda.device(), address));
        transformed(mapped, raw -> kernels.launch("rows.channels_last", blocks(count), 1, 1, THREADS, raw,
                View.typeNumber(mapped.dtype()), View.of(weight), count, (int) mapped.dim(1),
                (int) (mapped.dim(2) * mapped.dim(3))));
        return weight;
    }

    private interface Transform {
        void from(long raw);
    }

    private void transformed(Tensor mapped, Transform transform) {
        DeviceMemory.Block raw = memory.take(mapped.dtype().bytes(mapped.shape().elements()),
                "the upload of " + mapped.name() + mapped.shape());
        bring(mapped, raw.address());
        transform.from(raw.address());
        memory.give(raw);
    }

    /** The elements as they are stored, to the device. */
    private void bring(Tensor mapped, long address) {
        long count = mapped.shape().elements();
        if (mapped.storage() instanceof DrawnStorage drawn) {
            kernels.launch("random.draw", blocks(count), 1, 1, THREADS, address, table(drawn.table()), (int) drawn.constant(),
                    drawn.key(), mapped.offset(), count);
        } else {
            staging.upload(HostRows.segment(mapped).asSlice(mapped.dtype().bytes(mapped.offset()), mapped.dtype().bytes(count)), address);
        }
    }

    private long table(short[] entries) {
        return entries == null ? 0 : tables.computeIfAbsent(entries, missing -> {
            long address = memory.keep(DType.BF16.bytes(missing.length), "what random weights are drawn from");
            staging.upload(MemorySegment.ofArray(missing), address);
            return address;
        });
    }

    private static void requireStored(Tensor mapped) {
        boolean drawn = mapped.storage() instanceof DrawnStorage;
        if (!mapped.contiguous() || drawn && mapped.dtype() != DType.BF16) {
            throw new IllegalArgumentException("weight " + mapped.name() + mapped.shape() + " " + mapped.dtype()
                    + ": expected a contiguous tensor" + (drawn ? " of BF16" : ""));
        }
        View.typeNumber(mapped.dtype());
    }

    private static long blocks(long count) {
        return Math.clamp(Math.ceilDiv(count, THREADS), 1, MOST_BLOCKS);
    }
}
