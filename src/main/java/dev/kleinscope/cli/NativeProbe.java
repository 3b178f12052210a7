package dev.kleinscope.cli;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Looks which CUDA libraries and GPUs are there, without making a context or holding memory on a device. */
final class NativeProbe {

    /** A library that may be absent: where it was found and its version, or why not. */
    record Library(String name, boolean found, String version, String detail) {}

    /** A GPU as the driver names it; memory in bytes. */
    record Gpu(String name, long memoryBytes) {}

    /** What the driver says. {@code detail} tells why there are none. */
    record Gpus(List<Gpu> gpus, String detail) {}

    private static final int NAME_BYTES = 256;
    private static final List<String> DRIVER = List.of("libcuda.so.1", "libcuda.so");

    private NativeProbe() {}

    static List<Library> libraries() {
        return List.of(
                library("CUDA driver", DRIVER, NativeProbe::driverVersion),
                library("cuBLASLt", List.of("libcublasLt.so.13", "libcublasLt.so.12"), NativeProbe::cublasVersion),
                library("cuDNN", List.of("libcudnn.so.9"), NativeProbe::cudnnVersion),
                library("NVRTC", List.of("libnvrtc.so.13", "libnvrtc.so.12"), NativeProbe::nvrtcVersion));
    }

    static Gpus gpus() {
        Opened driver = open(DRIVER);
        if (driver.lookup == null) {
            return new Gpus(List.of(), "no CUDA driver");
        }
        try (Arena arena = Arena.ofConfined()) {
            int status = call(driver.lookup, "cuInit", 0);
            MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
            if (status == 0) {
                status = call(driver.lookup, "cuDeviceGetCount", count);
            }
            if (status != 0) {
                return new Gpus(List.of(), "the CUDA driver answers with error " + status);
            }
            List<Gpu> gpus = new ArrayList<>();
            for (int i = 0; i < count.get(ValueLayout.JAVA_INT, 0); i++) {
                gpus.add(gpu(driver.lookup, arena, i));
            }
            return new Gpus(List.copyOf(gpus), gpus.isEmpty() ? "the CUDA driver sees none" : "");
        } catch (RuntimeException e) {
            return new Gpus(List.of(), e.getMessage());
        }
    }

    private static Gpu gpu(SymbolLookup driver, Arena arena, int index) {
        MemorySegment device = arena.allocate(ValueLayout.JAVA_INT);
        MemorySegment name = arena.allocate(NAME_BYTES);
        MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
        call(driver, "cuDeviceGet", device, index);
        int handle = device.get(ValueLayout.JAVA_INT, 0);
        call(driver, "cuDeviceGetName", name, NAME_BYTES, handle);
        call(driver, "cuDeviceTotalMem_v2", bytes, handle);
        return new Gpu(name.getString(0), bytes.get(ValueLayout.JAVA_LONG, 0));
    }

    private interface VersionReader {
        String read(SymbolLookup library, Arena arena);
    }

    private record Opened(SymbolLookup lookup, String file, String looked) {}

    private static Library library(String name, List<String> files, VersionReader version) {
        Opened opened = open(files);
        if (opened.lookup == null) {
            return new Library(name, false, "", "not found: looked for " + opened.looked);
        }
        try (Arena arena = Arena.ofConfined()) {
            return new Library(name, true, version.read(opened.lookup, arena), opened.file);
        } catch (RuntimeException e) {
            return new Library(name, true, "unknown", opened.file + " (" + e.getMessage() + ")");
        }
    }

    /** By name, as the loader finds it, then in the folders that installers use without telling the loader. */
    private static Opened open(List<String> files) {
        List<Path> folders = folders();
        for (String file : files) {
            SymbolLookup lookup = tryOpen(file);
            if (lookup != null) {
                return new Opened(lookup, file, "");
            }
            for (Path folder : folders) {
                Path path = folder.resolve(file);
                lookup = Files.exists(path) ? tryOpen(path.toString()) : null;
                if (lookup != null) {
                    return new Opened(lookup, path.toString(), "");
                }
            }
        }
        String where = folders.isEmpty() ? "" : " and in " + String.join(", ", folders.stream().map(Path::toString).toList());
        return new Opened(null, "", String.join(", ", files) + " on the loader's path" + where);
    }

    private static SymbolLookup tryOpen(String name) {
        try {
            return SymbolLookup.libraryLookup(name, Arena.global());
        } catch (IllegalArgumentException _) {
            return null;
        }
    }

    private static List<Path> folders() {
        List<Path> folders = new ArrayList<>();
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
            String home = System.getenv(variable);
            if (home != null && !home.isEmpty()) {
                folders.add(Path.of(home, "lib64"));
            }
        }
        try (Stream<Path> locals = Files.list(Path.of("/usr/local"))) {
            locals.filter(path -> path.getFileName().toString().startsWith("cuda"))
                    .sorted()
                    .forEach(path -> folders.add(path.resolve("lib64")));
        } catch (IOException _) {
            // no such folder on this system
        }
        folders.add(Path.of("/usr/lib/x86_64-linux-gnu"));
        folders.add(Path.of("/usr/lib/aarch64-linux-gnu"));
        folders.add(Path.of("/usr/lib/wsl/lib"));
        return folders.stream().filter(Files::isDirectory).distinct().toList();
    }

    private static String driverVersion(SymbolLookup library, Arena arena) {
        MemorySegment version = arena.allocate(ValueLayout.JAVA_INT);
        call(library, "cuDriverGetVersion", version);
        int v = version.get(ValueLayout.JAVA_INT, 0);
        return "CUDA " + v / 1000 + "." + v % 1000 / 10;
    }

    private static String cublasVersion(SymbolLookup library, Arena arena) {
        long v = callLong(library, "cublasLtGetVersion");
        return v / 10_000 + "." + v % 10_000 / 100 + "." + v % 100;
    }

    private static String cudnnVersion(SymbolLookup library, Arena arena) {
        long v = callLong(library, "cudnnGetVersion");
        return v / 10_000 + "." + v % 10_000 / 100 + "." + v % 100;
    }

    private static String nvrtcVersion(SymbolLookup library, Arena arena) {
        MemorySegment major = arena.allocate(ValueLayout.JAVA_INT);
        MemorySegment minor = arena.allocate(ValueLayout.JAVA_INT);
        call(library, "nvrtcVersion", major, minor);
        return major.get(ValueLayout.JAVA_INT, 0) + "." + minor.get(ValueLayout.JAVA_INT, 0);
    }

    /** Calls a function of ints and pointers that returns a status. */
    private static int call(SymbolLookup library, String function, Object... arguments) {
        MemoryLayout[] layouts = new MemoryLayout[arguments.length];
        for (int i = 0; i < layouts.length; i++) {
            layouts[i] = arguments[i] instanceof Integer ? ValueLayout.JAVA_INT : ValueLayout.ADDRESS;
        }
        return (int) invoke(library, function, FunctionDescriptor.of(ValueLayout.JAVA_INT, layouts), arguments);
    }

    private static long callLong(SymbolLookup library, String function) {
        return (long) invoke(library, function, FunctionDescriptor.of(ValueLayout.JAVA_LONG));
    }

    private static Object invoke(
            SymbolLookup library, String function, FunctionDescriptor type, Object... arguments) {
        MemorySegment address = library.find(function)
                .orElseThrow(() -> new UnavailableException("it has no " + function));
        MethodHandle handle = Linker.nativeLinker().downcallHandle(address, type);
        try {
            return handle.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new IllegalStateException(function + ": " + e, e);
        }
    }
}
