package dev.kleinscope.backend.cuda;

import dev.kleinscope.backend.cuda.ConvolutionGraph.Sizes;
import dev.kleinscope.bindings.cuda.cudnn.Cudnn;
import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Convolutions in bf16 by cuDNN, accumulated in f32; bias and a picture to add join in before the one rounding where an engine takes
 * them. Pictures may be slices of larger ones.
 *
 * <p>Of the engines that give the same bits every time, the first that the heuristic names is taken: on an H100 it was the fastest,
 * within 2%, for the convolutions of FLUX.2's autoencoder, and a choice by the clock would vary from run to run.
 */
final class CudnnConvolution implements AutoCloseable {

    private static final long CHANNELS = ConvolutionGraph.ALIGNMENT_BYTES / DType.BF16.bytes(1);
    private static final long WORKSPACE_BYTES = 256L << 20;
    private static final int BF16 = View.typeNumber(DType.BF16);
    private static final int COPY_THREADS = 256;

    /** What is over in some microseconds is not worth a plan. */
    private static final double LEAST_FLOPS = 1e8;

    private final Cuda cuda;
    private final DeviceMemory memory;
    private final Kernels kernels;
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment handle;
    private final CudnnEngines engines;
    private final Map<Sizes, Choice> choices = new HashMap<>();
    private final Map<Tensor, Long> prepared = new IdentityHashMap<>();

    /** What is left to do after a convolution. */
    enum Rest {
        NOTHING, BIAS_AND_ADDED, EVERYTHING
    }

    /** @param plan null where cuDNN has no engine. @param sizes what it does: all that was asked for, or the bare convolution */
    private record Choice(CudnnEngines.Plan plan, Sizes sizes) {
    }

    /** Device addresses; 0 for what is absent. */
    private record Operands(long x, long weight, long bias, long added, long out) {
    }

    CudnnConvolution(Cuda cuda, DeviceMemory memory, Kernels kernels) {
        this.cuda = cuda;
        this.memory = memory;
        this.kernels = kernels;
        cuda.requireCurrent();
        MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
        CudnnDescriptor.check(Cudnn.cudnnCreate(pointer), "cudnnCreate", "");
        handle = pointer.get(ValueLayout.ADDRESS, 0);
        CudnnDescriptor.check(Cudnn.cudnnSetStream(handle, cuda.stream()), "cudnnSetStream", "");
        engines = new CudnnEngines(handle);
    }

    /**
     * Queues a convolution.
     *
     * @param added shaped as out, or null
     * @return what cuDNN left to do
     */
    Rest convolve(Tensor x, Conv2d layer, Tensor added, Tensor out) {
        if (!suits(x) || !suits(layer.weight()) || out.rows() == 0) {
            return Rest.EVERYTHING;
        }
        if (suits(out) && (added == null || suits(added))) {
            Operands operands = new Operands(View.address(x), View.address(layer.weight()),
                    bias(layer), added == null ? 0 : View.address(added), View.address(out));
            return convolve(sizes(x, layer, added, out, out.dim(3), out.stride(0), out.stride(1), out.stride(2)), operands);
        }
        return out.dtype() == DType.BF16 && out.dim(3) < CHANNELS && added == null ? narrow(x, layer, out) : Rest.EVERYTHING;
    }

    private Rest convolve(Sizes sizes, Operands operands) {
        if (sizes.flops() < LEAST_FLOPS) {
            return Rest.EVERYTHING;
        }
        cuda.requireCurrent();
        Choice choice = choices.computeIfAbsent(sizes, this::choose);
        if (choice.plan == null) {
            return Rest.EVERYTHING;
        }
        execute(choice, operands);
        return choice.sizes.equals(sizes) ? Rest.NOTHING : Rest.BIAS_AND_ADDED;
    }

    /** Too few channels for cuDNN to write: with kernels of zeros beside the layer's, into a picture of which the first are taken. */
    private Rest narrow(Tensor x, Conv2d layer, Tensor out) {
        long row = out.dim(2) * CHANNELS;
        Sizes sizes = sizes(x, layer, null, out, CHANNELS, out.dim(1) * row, row, CHANNELS);
        DeviceMemory.Block wide = memory.take(DType.BF16.bytes(out.rows() * CHANNELS), "a convolution's result " + out.shape());
        try {
            Operands operands = new Operands(View.address(x), prepared.computeIfAbsent(layer.weight(), this::padded), bias(layer), 0,
                    wide.address());
            Rest rest = convolve(sizes, operands);
            if (rest != Rest.EVERYTHING) {
                firstChannels(new View(wide.address(), out.dim(1), out.dim(2), out.dim(1) * row, row, CHANNELS, BF16), View.of(out),
                        out.rows(), out.dim(3));
            }
            return rest;
        } finally {
            memory.give(wide);
        }
    }

    private void firstChannels(View from, View to, long pixels, long channels) {
        kernels.launch("pictures.first_channels", Math.ceilDiv(pixels * channels, COPY_THREADS), 1, 1, COPY_THREADS, from, to, pixels,
                (int) channels);
    }

    private long padded(Tensor weight) {
        long bytes = DType.BF16.bytes(weight.shape().elements());
        long address = zeros(bytes / weight.dim(0) * CHANNELS, weight);
        Cuda.driver(CudaDriver.cuMemcpyDtoDAsync_v2(address, View.address(weight), bytes, cuda.stream()), "cuMemcpyDtoDAsync",
                bytes + " bytes");
        return address;
    }

    /** Address of a bias as cuDNN takes it: in bf16, and zeros up to whole 16 bytes; 0 if there is none. */
    private long bias(Conv2d layer) {
        return layer.bias() == null ? 0 : prepared.computeIfAbsent(layer.bias(), bias -> {
            long channels = bias.dim(0);
            long address = zeros(DType.BF16.bytes(Math.ceilDiv(channels, CHANNELS) * CHANNELS), bias);
            firstChannels(View.of(bias), new View(address, 1, 1, 0, 0, channels, BF16), 1, channels);
            return address;
        });
    }

    private long zeros(long bytes, Tensor what) {
        cuda.requireDoing();
        long address = memory.keep(bytes, "cuDNN's copy of " + what.name() + what.shape());
        Cuda.driver(CudaDriver.cuMemsetD8Async(address, (byte) 0, bytes, cuda.stream()), "cuMemsetD8Async", bytes + " bytes");
        return address;
    }

    private static boolean suits(Tensor picture) {
        return picture.dtype() == DType.BF16 && View.address(picture) % ConvolutionGraph.ALIGNMENT_BYTES == 0
                && picture.dim(3) % CHANNELS == 0 && picture.stride(0) % CHANNELS == 0 && picture.stride(1) % CHANNELS == 0
                && picture.stride(2) % CHANNELS == 0;
    }

    private static Sizes sizes(Tensor x, Conv2d layer, Tensor added, Tensor out, long channels, long outBatch, long outRow,
            long outPixel) {
        return new Sizes(x.dim(0), x.dim(1), x.dim(2), x.dim(3), channels, out.dim(1), out.dim(2), layer.kernelHeight(),
                layer.kernelWidth(), layer.stride(), layer.padding().top(), layer.padding().left(), layer.padding().bottom(),
                layer.padding().right(), x.stride(0), x.stride(1), x.stride(2), outBatch, outRow, outPixel, layer.bias() != null,
                added != null, added == null ? 0 : added.stride(0), added == null ? 0 : added.stride(1),
                added == null ? 0 : added.stride(2));
    }

    private Choice choose(Sizes sizes) {
        for (boolean compiled : new boolean[] {true, false}) {
            for (Sizes attempt : List.of(sizes, sizes.bare())) {
                try (ConvolutionGraph graph = new ConvolutionGraph(attempt, handle)) {
                    CudnnEngines.Plan plan = engines.first(graph.graph(), compiled, WORKSPACE_BYTES, attempt.toString());
                    if (plan != null) {
                        return new Choice(plan, attempt);
                    }
                } catch (CudaException e) {
                    if (e.outOfMemory()) {
                        throw e;
                    }
                    // cuDNN takes no such graph: the next attempt, or the other ways to convolve
                }
            }
        }
        return new Choice(null, sizes);
    }

    private void execute(Choice choice, Operands operands) {
        List<Long> ids = new ArrayList<>();
        List<MemorySegment> addresses = new ArrayList<>();
        long[] all = {operands.x, operands.weight, operands.out, choice.sizes.biased() ? operands.bias : 0,
            choice.sizes.added() ? operands.added : 0};
        for (int i = 0; i < all.length; i++) {
            if (all[i] != 0) {
                ids.add(ConvolutionGraph.IDS[i]);
                addresses.add(MemorySegment.ofAddress(all[i]));
            }
        }
        DeviceMemory.Block workspace = memory.take(Math.max(1, choice.plan.workspaceBytes()), "cuDNN's workspace");
        try (CudnnDescriptor pack = new CudnnDescriptor(Cudnn.CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR(), choice.sizes.toString())) {
            pack.set(Cudnn.CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS(), Cudnn.CUDNN_TYPE_INT64(),
                            ids.stream().mapToLong(Long::longValue).toArray())
                    .setPointers(Cudnn.CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS(), Cudnn.CUDNN_TYPE_VOID_PTR(),
                            addresses.toArray(MemorySegment[]::new))
                    .setPointers(Cudnn.CUDNN_ATTR_VARIANT_PACK_WORKSPACE(), Cudnn.CUDNN_TYPE_VOID_PTR(),
                            MemorySegment.ofAddress(workspace.address()))
                    .finish();
            CudnnDescriptor.check(Cudnn.cudnnBackendExecute(handle, choice.plan.descriptor().pointer(), pack.pointer()),
                    "cudnnBackendExecute", choice.sizes.toString());
        } finally {
            memory.give(workspace);
        }
    }

    @Override
    public void close() {
        choices.values().forEach(choice -> {
            if (choice.plan != null) {
                choice.plan.descriptor().close();
            }
        });
        choices.clear();
        Cudnn.cudnnDestroy(handle);
        arena.close();
    }
}
