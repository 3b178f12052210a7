package dev.kleinscope.cli;

import dev.kleinscope.bindings.cuda.NativeLibs;
import dev.kleinscope.bindings.cuda.cublaslt.CublasLt;
import dev.kleinscope.bindings.cuda.cudnn.Cudnn;
import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import dev.kleinscope.bindings.cuda.nvrtc.Nvrtc;
import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Looks which native libraries and GPUs are there, without making a context or holding memory on a device. */
final class NativeProbe {

    /** A library that may be absent: where it was found and its version, or why not. */
    record Library(String name, boolean found, String version, String detail) {}

    /** A GPU as the driver names it; its compute capability as {@code 9.0}; memory in bytes. */
    record Gpu(String name, String computeCapability, long memoryBytes) {}

    /** What the driver says. {@code detail} tells why there are none. */
    record Gpus(List<Gpu> gpus, String detail) {}

    private static final int NAME_BYTES = 256;
    private static final Path MODULE_VERSION = Path.of("/sys/module/nvidia/version");

    private NativeProbe() {}

    static List<Library> libraries() {
        return List.of(
                library("CUDA driver", "cuda-driver", NativeProbe::driverVersion),
                library("cuBLASLt", "cublaslt", _ -> threeParts(CublasLt.cublasLtGetVersion())),
                library("cuDNN", "cudnn", _ -> threeParts(Cudnn.cudnnGetVersion())),
                library("NVRTC", "nvrtc", NativeProbe::nvrtcVersion));
    }

    /** What multiplies matrices on the CPU, with the instructions that it uses here. */
    static Library oneDnn() {
        return OneDnnLibrary.isAvailable()
                ? new Library("oneDNN", true, OneDnnLibrary.version() + " (" + OneDnnLibrary.isa() + ")", OneDnnLibrary.file().toString())
                : new Library("oneDNN", false, "", "not used: " + OneDnnLibrary.whyNot());
    }

    static Gpus gpus() {
        if (!NativeLibs.isAvailable("cuda-driver")) {
            return new Gpus(List.of(), "no CUDA driver");
        }
        try (Arena arena = Arena.ofConfined()) {
            int status = CudaDriver.cuInit(0);
            MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
            if (status == 0) {
                status = CudaDriver.cuDeviceGetCount(count);
            }
            if (status != 0) {
                return new Gpus(List.of(), "the CUDA driver answers with error " + status);
            }
            List<Gpu> gpus = new ArrayList<>();
            for (int i = 0; i < count.get(ValueLayout.JAVA_INT, 0); i++) {
                gpus.add(gpu(arena, i));
            }
            return new Gpus(List.copyOf(gpus), gpus.isEmpty() ? "the CUDA driver sees none" : "");
        } catch (LinkageError e) {
            return new Gpus(List.of(), "the CUDA driver lacks a function: " + e.getMessage());
        }
    }

    private static Gpu gpu(Arena arena, int index) {
        MemorySegment device = arena.allocate(ValueLayout.JAVA_INT);
        MemorySegment name = arena.allocate(NAME_BYTES);
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        CudaDriver.cuDeviceGet(device, index);
        int handle = device.get(ValueLayout.JAVA_INT, 0);
        CudaDriver.cuDeviceGetName(name, NAME_BYTES, handle);
        CudaDriver.cuDeviceTotalMem_v2(bytes, handle);
        String capability = attribute(device, CudaDriver.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR(), handle) + "."
                + attribute(device, CudaDriver.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR(), handle);
        return new Gpu(name.getString(0), capability, bytes.get(ValueLayout.JAVA_LONG, 0));
    }

    private static int attribute(MemorySegment number, int attribute, int device) {
        CudaDriver.cuDeviceGetAttribute(number, attribute, device);
        return number.get(ValueLayout.JAVA_INT, 0);
    }

    private interface VersionReader {
        String read(Arena arena);
    }

    private static Library library(String name, String library, VersionReader version) {
        NativeLibs.Search search = NativeLibs.search(library);
        if (!search.found()) {
            return new Library(name, false, "", search.failure().isEmpty() ? "not found: looked for " + search.looked()
                    : "cannot be opened: " + search.failure());
        }
        try (Arena arena = Arena.ofConfined()) {
            return new Library(name, true, version.read(arena), search.file());
        } catch (LinkageError e) {
            return new Library(name, true, "unknown", search.file() + " (" + e.getMessage() + ")");
        }
    }

    private static String driverVersion(Arena arena) {
        MemorySegment version = arena.allocate(ValueLayout.JAVA_INT);
        CudaDriver.cuDriverGetVersion(version);
        int v = version.get(ValueLayout.JAVA_INT, 0);
        return kernelModule() + "for CUDA " + v / 1000 + "." + v % 1000 / 10;
    }

    /** The driver's own version, as its kernel module tells; empty where there is no module, as under WSL. */
    private static String kernelModule() {
        try {
            return Files.readString(MODULE_VERSION).strip() + " ";
        } catch (IOException _) {
            return "";
        }
    }

    private static String nvrtcVersion(Arena arena) {
        MemorySegment major = arena.allocate(ValueLayout.JAVA_INT);
        MemorySegment minor = arena.allocate(ValueLayout.JAVA_INT);
        Nvrtc.nvrtcVersion(major, minor);
        return major.get(ValueLayout.JAVA_INT, 0) + "." + minor.get(ValueLayout.JAVA_INT, 0);
    }

    private static String threeParts(long version) {
        return version / 10_000 + "." + version % 10_000 / 100 + "." + version % 100;
    }
}
