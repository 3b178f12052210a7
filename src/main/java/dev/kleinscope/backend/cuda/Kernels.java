package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CUlaunchAttributeValue_union;
import dev.kleinscope.bindings.cuda.driver.CUlaunchAttribute_st;
import dev.kleinscope.bindings.cuda.driver.CUlaunchConfig_st;
import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Our own kernels: compiled for the GPU at hand when first needed, and launched on the stream. */
final class Kernels implements AutoCloseable {

    /** From Hopper on. */
    private static final int EARLY_CAPABILITY = 90;

    /** Set to "false", every kernel begins after the one ahead of it has ended. */
    private static final boolean EARLY = !"false".equals(System.getProperty("kleinscope.cuda.early"));

    private final Cuda cuda;
    private final boolean early;
    private final KernelCompiler compiler;
    private final Map<String, MemorySegment> modules = new HashMap<>();
    private final Map<String, MemorySegment> functions = new HashMap<>();
    private List<Launch> noted;

    Kernels(Cuda cuda) {
        this.cuda = cuda;
        this.compiler = new KernelCompiler(cuda.computeCapability());
        early = EARLY && cuda.computeCapability() >= EARLY_CAPABILITY;
    }

    /**
     * Queues a kernel.
     *
     * @param name {@code file.function}, such as {@code rows.layer_norm}
     * @param arguments Views, Rows, Integers, Longs (also device addresses), Floats and arrays of int, as the kernel declares them: an
     *         array stands for a structure that holds one of its length
     */
    void launch(String name, long gridX, long gridY, long gridZ, int threads, Object... arguments) {
        launch(new Launch(name, false, gridX, gridY, gridZ, threads, arguments));
    }

    /** The same for a kernel that begins with {@code await_previous()}: its blocks may be set up while the kernel ahead of it ends. */
    void launchEarly(String name, long gridX, long gridY, long gridZ, int threads, Object... arguments) {
        launch(new Launch(name, true, gridX, gridY, gridZ, threads, arguments));
    }

    /**
     * A kernel on its arguments, to be queued; see {@link Kernels#launch(String, long, long, long, int, Object...)}.
     *
     * @param early whether it begins with {@code await_previous()}
     */
    record Launch(String name, boolean early, long gridX, long gridY, long gridZ, int threads, Object... arguments) {

        /** Whether both do the same to the same memory. */
        boolean same(Launch other) {
            return name.equals(other.name) && gridX == other.gridX && gridY == other.gridY && gridZ == other.gridZ
                    && threads == other.threads && Arrays.deepEquals(arguments, other.arguments);
        }
    }

    /** What {@code queueing} launches, which is queued unless {@linkplain Cuda#rehearsing rehearsed}. */
    List<Launch> noting(Runnable queueing) {
        List<Launch> launches = new ArrayList<>();
        noted = launches;
        try {
            queueing.run();
        } finally {
            noted = null;
        }
        return launches;
    }

    void launch(Launch launch) {
        if (noted != null) {
            noted.add(launch);
        }
        if (cuda.rehearsing()) {
            return;
        }
        launch(launch.name, launch.early && early, launch.gridX, launch.gridY, launch.gridZ, launch.threads, launch.arguments);
    }

    private void launch(String name, boolean early, long gridX, long gridY, long gridZ, int threads, Object... arguments) {
        cuda.requireOwner();
        if (gridX == 0 || gridY == 0 || gridZ == 0) {
            return;
        }
        MemorySegment function = functions.computeIfAbsent(name, this::function);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointers = arena.allocate(ValueLayout.ADDRESS, arguments.length);
            for (int i = 0; i < arguments.length; i++) {
                pointers.setAtIndex(ValueLayout.ADDRESS, i, argument(arguments[i], arena));
            }
            int status = early ? CudaDriver.cuLaunchKernelEx(early(arena, gridX, gridY, gridZ, threads), function, pointers, MemorySegment.NULL)
                    : CudaDriver.cuLaunchKernel(function, Math.toIntExact(gridX), Math.toIntExact(gridY),
                            Math.toIntExact(gridZ), threads, 1, 1, 0, cuda.stream(), pointers, MemorySegment.NULL);
            if (status != 0) {
                Cuda.driver(status, "cuLaunchKernel of " + name, gridX + " x " + gridY + " x " + gridZ + " blocks of " + threads,
                        Cuda.describe(arguments));
            }
        }
    }

    private MemorySegment early(Arena arena, long gridX, long gridY, long gridZ, int threads) {
        MemorySegment attribute = CUlaunchAttribute_st.allocate(arena);
        CUlaunchAttribute_st.id(attribute, CudaDriver.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION());
        CUlaunchAttributeValue_union.programmaticStreamSerializationAllowed(CUlaunchAttribute_st.value(attribute), 1);
        MemorySegment config = CUlaunchConfig_st.allocate(arena);
        CUlaunchConfig_st.gridDimX(config, Math.toIntExact(gridX));
        CUlaunchConfig_st.gridDimY(config, Math.toIntExact(gridY));
        CUlaunchConfig_st.gridDimZ(config, Math.toIntExact(gridZ));
        CUlaunchConfig_st.blockDimX(config, threads);
        CUlaunchConfig_st.blockDimY(config, 1);
        CUlaunchConfig_st.blockDimZ(config, 1);
        CUlaunchConfig_st.sharedMemBytes(config, 0);
        CUlaunchConfig_st.hStream(config, cuda.stream());
        CUlaunchConfig_st.attrs(config, attribute);
        CUlaunchConfig_st.numAttrs(config, 1);
        return config;
    }

    private static MemorySegment argument(Object argument, Arena arena) {
        return switch (argument) {
            case View view -> {
                MemorySegment segment = arena.allocate(View.BYTES, Long.BYTES);
                view.write(segment);
                yield segment;
            }
            case Rows rows -> {
                MemorySegment segment = arena.allocate(Rows.BYTES, Long.BYTES);
                rows.write(segment);
                yield segment;
            }
            case int[] values -> arena.allocateFrom(ValueLayout.JAVA_INT, values);
            case Integer value -> arena.allocateFrom(ValueLayout.JAVA_INT, value);
            case Long value -> arena.allocateFrom(ValueLayout.JAVA_LONG, value);
            case Float value -> arena.allocateFrom(ValueLayout.JAVA_FLOAT, value);
            default -> throw new IllegalArgumentException("a kernel takes no " + argument.getClass());
        };
    }

    private MemorySegment function(String name) {
        int dot = name.indexOf('.');
        MemorySegment module = modules.computeIfAbsent(name.substring(0, dot), this::module);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            Cuda.driver(CudaDriver.cuModuleGetFunction(pointer, module, arena.allocateFrom(name.substring(dot + 1))),
                    "cuModuleGetFunction", name);
            return pointer.get(ValueLayout.ADDRESS, 0);
        }
    }

    private MemorySegment module(String file) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            // what was kept on disk may be damaged
            if (load(compiler.cubin(file), pointer, arena) != 0) {
                Cuda.driver(load(compiler.compiled(file), pointer, arena), "cuModuleLoadData", file + ".cu");
            }
            return pointer.get(ValueLayout.ADDRESS, 0);
        }
    }

    private static int load(byte[] cubin, MemorySegment pointer, Arena arena) {
        MemorySegment image = arena.allocate(Math.max(1, cubin.length), 16);
        MemorySegment.copy(cubin, 0, image, ValueLayout.JAVA_BYTE, 0, cubin.length);
        return CudaDriver.cuModuleLoadData(pointer, image);
    }

    @Override
    public void close() {
        modules.values().forEach(module -> Cuda.driver(CudaDriver.cuModuleUnload(module), "cuModuleUnload"));
        modules.clear();
        functions.clear();
    }
}
