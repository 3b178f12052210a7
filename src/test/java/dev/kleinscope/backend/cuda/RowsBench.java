package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;

/** How near the row kernels come to the memory's speed. Each is captured in a graph that goes through several sets of buffers. */
final class RowsBench {

    private static final int LAUNCHES = 24;
    private static final int REPEATS = 7;
    private static final long BYTES_OF_SETS = 300L << 20;

    private final Cuda cuda = Cuda.open(false);
    private final DeviceMemory memory = new DeviceMemory(cuda);
    private final Staging staging = new Staging(cuda);
    private final Kernels kernels = new Kernels(cuda);
    private final RowOperations rows = new RowOperations(cuda, kernels, Rounding.OURS);
    private final Reductions reductions = new Reductions(kernels, memory);

    private RowsBench() {
    }

    public static void main(String[] args) {
        new RowsBench().run();
    }

    private interface Launch {
        void on(Tensor[] set);
    }

    private void run() {
        for (long tokens : new long[] {4608, 768}) {
            Shape x = Shape.of(1, tokens, 3072);
            Shape wide = Shape.of(1, tokens, 27648);
            Tensor scale = tensor(DType.F32, Shape.of(1, 3072));
            long norm = 2 * tokens * 3072 * 2;
            time("layerNormModulate", tokens, norm, set -> rows.layerNormModulate(set[0], scale, scale, 1e-6, set[1]), x, x);
            Tensor head = tensor(DType.F32, Shape.of(128));
            Rope rope = new Rope(tensor(DType.F32, Shape.of(tokens, 64)), tensor(DType.F32, Shape.of(tokens, 64)), Rope.Pairing.ADJACENT);
            time("rmsNormRope q, k of 27648", tokens, 2 * norm, set -> rows.rmsNormRope(set[0].slice(2, 0, 3072), set[0].slice(2, 3072, 6144),
                    head, head, 1e-6, rope, set[1], set[2]), wide, x, x);
            time("swiglu of 27648", tokens, 3 * tokens * 9216 * 2, set -> rows.swiglu(set[0].slice(2, 9216, 18432), set[0].slice(2, 18432, 27648),
                    set[1].slice(2, 3072, 12288)), wide, Shape.of(1, tokens, 12288));
            time("gatedResidual", tokens, 3 * norm / 2, set -> rows.gatedResidual(set[0], scale, set[1], set[2]), x, x, x);
            time("addScaled", tokens, 3 * norm / 2, set -> rows.addScaled(set[0], set[1], 1, set[2]), x, x, x);
            time("copy to 12288", tokens, norm, set -> rows.copy(set[0], set[1].slice(2, 0, 3072)), x, Shape.of(1, tokens, 12288));
            Tensor two = tensor(DType.F32, Shape.of(1, tokens, 2));
            Tensor six = tensor(DType.F32, Shape.of(1, tokens, 6));
            time("rowMoments", tokens, norm / 2, set -> reductions.rowMoments(set[0], null, two), x);
            time("rowMoments with before", tokens, norm, set -> reductions.rowMoments(set[0], set[1], six), x, x);
            Tensor ranges = tensor(DType.F32, Shape.of(1, 5, 3072));
            int[] bounds = {512, (int) tokens, 3, 20, 0, 3, 20, 25, 25, 512};
            time("channelEnergies", tokens, norm / 2, set -> reductions.channelEnergies(set[0], bounds, ranges), x);
        }
        Tensor vector = tensor(DType.F32, Shape.of(1, 3072));
        Tensor result = tensor(DType.F32, Shape.of(1, 18432));
        time("few_rows 3072 to 18432", 1, 18432L * 3072 * 2, set -> rows.fewRows(vector, set[0].reshape(18432, 3072), result),
                Shape.of(1, 18432, 3072));
        Tensor f32 = tensor(DType.F32, Shape.of(1, 512, 2560));
        Tensor weight = tensor(DType.F32, Shape.of(2560));
        time("rmsNorm f32 to bf16", 512, 512 * 2560 * 6, set -> rows.rmsNorm(f32, weight, 1e-6, set[0]), Shape.of(1, 512, 2560));
    }

    private void time(String name, long tokens, long bytes, Launch launch, Shape... shapes) {
        long setBytes = 2 * Arrays.stream(shapes).mapToLong(Shape::elements).sum();
        int count = (int) Math.clamp(BYTES_OF_SETS / setBytes, 2, LAUNCHES);
        Tensor[][] sets = new Tensor[count][];
        DeviceMemory.Block[][] blocks = new DeviceMemory.Block[count][shapes.length];
        for (int i = 0; i < count; i++) {
            sets[i] = new Tensor[shapes.length];
            for (int j = 0; j < shapes.length; j++) {
                blocks[i][j] = memory.take(2 * shapes[j].elements(), "a set");
                sets[i][j] = filled(DType.BF16, shapes[j], blocks[i][j].address());
            }
        }
        launch.on(sets[0]);
        cuda.synchronize();
        double micros = measured(launch, sets);
        System.out.printf("%-34s %5d %9.2f us %8.0f GB/s%n", name, tokens, micros, bytes / micros / 1e3);
        for (DeviceMemory.Block[] set : blocks) {
            for (DeviceMemory.Block block : set) {
                memory.give(block);
            }
        }
    }

    private double measured(Launch launch, Tensor[][] sets) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            MemorySegment stream = cuda.stream();
            check(CudaDriver.cuStreamBeginCapture_v2(stream, 0));
            for (int i = 0; i < LAUNCHES; i++) {
                launch.on(sets[i % sets.length]);
            }
            check(CudaDriver.cuStreamEndCapture(stream, pointer));
            MemorySegment graph = pointer.get(ValueLayout.ADDRESS, 0);
            check(CudaDriver.cuGraphInstantiateWithFlags(pointer, graph, 0));
            MemorySegment replay = pointer.get(ValueLayout.ADDRESS, 0);
            check(CudaDriver.cuEventCreate(pointer, 0));
            MemorySegment start = pointer.get(ValueLayout.ADDRESS, 0);
            check(CudaDriver.cuEventCreate(pointer, 0));
            MemorySegment end = pointer.get(ValueLayout.ADDRESS, 0);
            double[] micros = new double[REPEATS];
            MemorySegment elapsed = arena.allocate(ValueLayout.JAVA_FLOAT);
            for (int i = -2; i < REPEATS; i++) {
                check(CudaDriver.cuEventRecord(start, stream));
                check(CudaDriver.cuGraphLaunch(replay, stream));
                check(CudaDriver.cuEventRecord(end, stream));
                cuda.synchronize();
                check(CudaDriver.cuEventElapsedTime_v2(elapsed, start, end));
                if (i >= 0) {
                    micros[i] = elapsed.get(ValueLayout.JAVA_FLOAT, 0) * 1e3 / LAUNCHES;
                }
            }
            Arrays.sort(micros);
            return micros[REPEATS / 2];
        }
    }

    private static void check(int status) {
        Cuda.driver(status, "a call");
    }

    private Tensor tensor(DType dtype, Shape shape) {
        return filled(dtype, shape, memory.keep(dtype.bytes(shape.elements()), "an operand"));
    }

    private final float[] noise = new float[1 << 20];

    {
        Random random = new Random(3);
        for (int i = 0; i < noise.length; i++) {
            noise[i] = (float) random.nextGaussian();
        }
    }

    private DeviceMemory.Block raw;

    private Tensor filled(DType dtype, Shape shape, long address) {
        if (raw == null) {
            raw = memory.take(4L * noise.length, "noise");
            staging.upload(MemorySegment.ofArray(noise), raw.address());
        }
        long count = shape.elements();
        for (long done = 0; done < count; done += noise.length) {
            long part = Math.min(noise.length, count - done);
            View to = new View(address + dtype.bytes(done), 1, 1, 0, 0, 0, View.typeNumber(dtype));
            kernels.launch("rows.convert", 1024, 1, 1, 256, raw.address(), 0, to, part);
        }
        return Tensor.of("x", dtype, shape, new CudaStorage(staging, cuda.device(), address));
    }
}
