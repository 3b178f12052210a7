package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.NativeLibs;
import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * A GPU, its context and one stream. The thread that opens it owns it: every call comes from there.
 *
 * <p>cuDNN succeeds silently where no context is current, so {@link #requireCurrent} asks the driver before cuDNN is called.
 */
final class Cuda implements AutoCloseable {

    /** The oldest driver that runs what the bindings were made from. */
    private static final int MINIMUM_DRIVER = 13000;
    private static final int NAME_BYTES = 256;

    /** {@code CU_STREAM_CAPTURE_MODE_RELAXED}: memory may be allocated while operations are recorded. */
    private static final int RELAXED = 2;

    /** What installs a library that is missing. */
    private static final Map<String, String> REMEDIES = Map.of(
            "cuda-driver", "install NVIDIA's driver, version 580 or later, or choose --backend cpu",
            "cublaslt", "install the CUDA 13 toolkit, or unpack its libraries as README.md tells (-Pcuda-redist)",
            "nvrtc", "install the CUDA 13 toolkit, or unpack its libraries as README.md tells (-Pcuda-redist)",
            "cudnn", "install cuDNN 9 for CUDA 13, or choose --no-cudnn, with which our own kernels compute attention and convolutions, "
                    + "more slowly");

    private final Thread owner = Thread.currentThread();
    private final int device;
    private final String name;
    private final int computeCapability;
    private final MemorySegment context;
    private final MemorySegment stream;
    private final List<MemorySegment> awaited = new ArrayList<>();
    private final Deque<Runnable> looks = new ArrayDeque<>();
    private final Deque<Runnable> ends = new ArrayDeque<>();
    private Runnable deferred;
    private boolean capturing;
    private boolean rehearsing;
    private final boolean cudnn;
    private final MemorySegment current = Arena.ofAuto().allocate(ValueLayout.ADDRESS);
    private boolean closed;

    private Cuda(int device, boolean cudnn, String name, int computeCapability, MemorySegment context, MemorySegment stream) {
        this.device = device;
        this.cudnn = cudnn;
        this.name = name;
        this.computeCapability = computeCapability;
        this.context = context;
        this.stream = stream;
    }

    /**
     * The first GPU, if it and the libraries can be used.
     *
     * @param cudnn whether cuDNN must be there
     * @throws CudaUnavailableException with the reason, in one sentence
     */
    static int select(boolean cudnn) {
        require("cuda-driver");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment number = arena.allocate(ValueLayout.JAVA_INT);
            driver(CudaDriver.cuDriverGetVersion(number), "cuDriverGetVersion");
            int version = number.get(ValueLayout.JAVA_INT, 0);
            if (version < MINIMUM_DRIVER) {
                throw new CudaUnavailableException("the NVIDIA driver is for CUDA " + version / 1000 + "." + version % 1000 / 10
                        + ", but 13.0 or later is needed: update the driver to version 580 or later, or choose --backend cpu");
            }
            require("cublaslt");
            require("nvrtc");
            if (cudnn) {
                require("cudnn");
            }
            int status = CudaDriver.cuInit(0);
            if (status != 0) {
                throw new CudaUnavailableException("the NVIDIA driver does not start: " + errorName(status)
                        + "; see whether nvidia-smi works, or choose --backend cpu");
            }
            driver(CudaDriver.cuDeviceGetCount(number), "cuDeviceGetCount");
            if (number.get(ValueLayout.JAVA_INT, 0) == 0) {
                throw new CudaUnavailableException("the NVIDIA driver sees no GPU: choose --backend cpu");
            }
            driver(CudaDriver.cuDeviceGet(number, 0), "cuDeviceGet");
            return number.get(ValueLayout.JAVA_INT, 0);
        }
    }

    private static void require(String library) {
        if (!NativeLibs.isAvailable(library)) {
            throw new CudaUnavailableException(NativeLibs.whyNot(library) + "; " + REMEDIES.get(library));
        }
    }

    /**
     * Opens the first GPU.
     *
     * @param cudnn whether cuDNN is to be used; then it must be there
     * @throws CudaUnavailableException with the reason, in one sentence
     */
    static Cuda open(boolean cudnn) {
        int device = select(cudnn);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment number = arena.allocate(ValueLayout.JAVA_INT);
            MemorySegment text = arena.allocate(NAME_BYTES);
            driver(CudaDriver.cuDeviceGetName(text, NAME_BYTES, device), "cuDeviceGetName");
            int capability = 10 * attribute(number, CudaDriver.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR(), device)
                    + attribute(number, CudaDriver.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR(), device);
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            int status = CudaDriver.cuDevicePrimaryCtxRetain(pointer, device);
            if (status == CudaDriver.CUDA_ERROR_OUT_OF_MEMORY()) {
                throw new CudaUnavailableException(text.getString(0) + " has too little free memory to begin, where about 0.5 GiB are "
                        + "needed: end what else uses the GPU (nvidia-smi lists it), or choose --backend cpu");
            }
            driver(status, "cuDevicePrimaryCtxRetain");
            MemorySegment context = pointer.get(ValueLayout.ADDRESS, 0);
            try {
                driver(CudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
                driver(CudaDriver.cuStreamCreate(pointer, CudaDriver.CU_STREAM_NON_BLOCKING()), "cuStreamCreate");
            } catch (CudaException e) {
                CudaDriver.cuDevicePrimaryCtxRelease_v2(device);
                throw e;
            }
            return new Cuda(device, cudnn, text.getString(0), capability, context, pointer.get(ValueLayout.ADDRESS, 0));
        }
    }

    private static int attribute(MemorySegment number, int attribute, int device) {
        driver(CudaDriver.cuDeviceGetAttribute(number, attribute, device), "cuDeviceGetAttribute");
        return number.get(ValueLayout.JAVA_INT, 0);
    }

    /** As the driver names the GPU. */
    String name() {
        return name;
    }

    /** {@code "cuda:0"}. */
    String device() {
        return "cuda:" + device;
    }

    /** Ten times the major number, plus the minor: 90 for Hopper. */
    int computeCapability() {
        return computeCapability;
    }

    /** To queue on; what was {@linkplain #defer deferred} is queued before. */
    MemorySegment stream() {
        requireQueued();
        if (rehearsing) {
            throw new IllegalStateException("only sums can be queued by an observer that says that it does nothing else");
        }
        return stream;
    }

    /** Whether cuDNN is there and to be used. */
    boolean cudnn() {
        return cudnn;
    }

    /** @throws IllegalStateException if called from another thread than opened this, or after the end */
    void requireOwner() {
        if (closed) {
            throw new IllegalStateException("the cuda backend is closed");
        }
        if (Thread.currentThread() != owner) {
            throw new IllegalStateException("the cuda backend belongs to thread \"" + owner.getName() + "\", but thread \""
                    + Thread.currentThread().getName() + "\" called it: make all calls from the thread that opened it");
        }
    }

    /** Before a library queues work by itself. @throws IllegalStateException unless this context is the thread's */
    void requireCurrent() {
        requireOwner();
        requireQueued();
        driver(CudaDriver.cuCtxGetCurrent(current), "cuCtxGetCurrent");
        if (current.get(ValueLayout.ADDRESS, 0).address() != context.address()) {
            throw new IllegalStateException("another library made its own CUDA context current on thread \"" + owner.getName() + "\"");
        }
    }

    /** Holds an operation back until the next is queued, which may {@linkplain #takeOver take it over}. */
    void defer(Runnable operation) {
        requireQueued();
        deferred = operation;
    }

    /** Whether an operation is held back. */
    boolean deferring() {
        return deferred != null;
    }

    /** Queues {@code together} in place of what was deferred. @throws IllegalStateException if nothing was */
    void takeOver(Runnable together) {
        if (deferred == null) {
            throw new IllegalStateException("nothing is deferred");
        }
        deferred = null;
        together.run();
        settleDeferred();
    }

    /** Looks at results once what is deferred is queued; now, if nothing is. */
    void look(Runnable look) {
        if (deferred == null) {
            look.run();
        } else {
            looks.add(look);
        }
    }

    /** Ends memory, but not before those who wait for a {@link #look} have had it. */
    void endAfterLooks(Runnable end) {
        if (looks.isEmpty()) {
            end.run();
        } else {
            ends.add(end);
        }
    }

    private void requireQueued() {
        Runnable operation = deferred;
        if (operation != null) {
            deferred = null;
            operation.run();
            settleDeferred();
        }
    }

    private void settleDeferred() {
        try {
            while (!looks.isEmpty()) {
                looks.removeFirst().run();
            }
        } finally {
            looks.clear();
            while (!ends.isEmpty()) {
                ends.removeFirst().run();
            }
        }
    }

    /** Whether what is queued now is recorded instead of done. */
    boolean capturing() {
        return capturing;
    }

    /** Whether what is queued now was recorded before, and is only compared with that. */
    boolean rehearsing() {
        return rehearsing;
    }

    /** Runs {@code queueing} without doing or recording what it queues. */
    void rehearse(Runnable queueing) {
        requireQueued();
        rehearsing = true;
        try {
            queueing.run();
        } finally {
            rehearsing = false;
        }
    }

    /** @throws IllegalStateException if what is queued now is recorded: what reads or writes the host cannot be */
    void requireDoing() {
        if (capturing || rehearsing) {
            throw new IllegalStateException("values cannot pass between host and device while operations are recorded; hand them to "
                    + "Ops.repeat as inputs");
        }
    }

    /** From now on what is queued is recorded. */
    void beginCapture() {
        requireOwner();
        driver(CudaDriver.cuStreamBeginCapture_v2(stream(), RELAXED), "cuStreamBeginCapture");
        capturing = true;
    }

    /** What was queued since {@link #beginCapture}: a graph, which the caller destroys. */
    MemorySegment endCapture() {
        requireQueued();
        capturing = false;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment graph = arena.allocate(ValueLayout.ADDRESS);
            driver(CudaDriver.cuStreamEndCapture(stream, graph), "cuStreamEndCapture");
            return graph.get(ValueLayout.ADDRESS, 0);
        }
    }

    /** Ends a recording that failed. */
    void abandonCapture() {
        deferred = null;
        looks.clear();
        settleDeferred();
        capturing = false;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment graph = arena.allocate(ValueLayout.ADDRESS);
            // fails where the recording broke off, and leaves no graph then
            if (CudaDriver.cuStreamEndCapture(stream, graph) == 0 && graph.get(ValueLayout.ADDRESS, 0).address() != 0) {
                CudaDriver.cuGraphDestroy(graph.get(ValueLayout.ADDRESS, 0));
            }
        }
    }

    /** Makes all that is queued from now on wait for an event; while recording, all from the next launch on. */
    void await(MemorySegment event) {
        awaited.add(event);
        if (!capturing) {
            awaitAll();
        }
    }

    /** Makes the stream wait for every event that {@link #await} was given while recording. */
    void awaitAll() {
        for (MemorySegment event : awaited) {
            driver(CudaDriver.cuStreamWaitEvent(stream, event, 0), "cuStreamWaitEvent");
        }
        awaited.clear();
    }

    /** Waits until the device has done everything. */
    void synchronize() {
        requireOwner();
        requireDoing();
        driver(CudaDriver.cuStreamSynchronize(stream()), "cuStreamSynchronize");
    }

    /** Bytes free and in all on the GPU. */
    long[] memory() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment free = arena.allocate(ValueLayout.JAVA_LONG);
            MemorySegment total = arena.allocate(ValueLayout.JAVA_LONG);
            driver(CudaDriver.cuMemGetInfo_v2(free, total), "cuMemGetInfo");
            return new long[] {free.get(ValueLayout.JAVA_LONG, 0), total.get(ValueLayout.JAVA_LONG, 0)};
        }
    }

    /** @throws CudaException unless a call of the driver succeeded */
    static void driver(int code, String call, Object... shapes) {
        if (code != 0) {
            throw new CudaException(call, code, errorName(code), describe(shapes));
        }
    }

    /** What a call was made on, for messages. */
    static String describe(Object... shapes) {
        return Arrays.stream(shapes).map(String::valueOf).collect(Collectors.joining(", "));
    }

    private static String errorName(int code) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(ValueLayout.ADDRESS);
            if (CudaDriver.cuGetErrorName(code, text) != 0) {
                return "unknown";
            }
            String errorName = string(text.get(ValueLayout.ADDRESS, 0));
            return CudaDriver.cuGetErrorString(code, text) != 0 ? errorName
                    : errorName + ", " + string(text.get(ValueLayout.ADDRESS, 0));
        }
    }

    /** A string that a library returned. */
    static String string(MemorySegment text) {
        return text.address() == 0 ? "" : text.reinterpret(Long.MAX_VALUE).getString(0);
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        requireOwner();
        closed = true;
        driver(CudaDriver.cuStreamDestroy_v2(stream), "cuStreamDestroy");
        driver(CudaDriver.cuDevicePrimaryCtxRelease_v2(device), "cuDevicePrimaryCtxRelease");
    }
}
