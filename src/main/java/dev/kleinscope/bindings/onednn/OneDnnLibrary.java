package dev.kleinscope.bindings.onednn;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Opens oneDNN on first use; nothing is unpacked or loaded when a binding class initialises.
 *
 * <p>The library and the OpenMP runtime that it was built with come in the jar {@code org.bytedeco:dnnl}. They are unpacked once, into
 * {@code $XDG_CACHE_HOME/kleinscope/onednn}, else {@code ~/.cache/kleinscope/onednn}, and checked at every start.
 */
public final class OneDnnLibrary {

    private static final OneDnnFiles FILES = new OneDnnFiles(List.of(
            new OneDnnFiles.Part("libgomp.so.1", "d46f9225c1883039e8a6853e6d96ca1af11d034ce186a090952e4a7c8a7c2fdc"),
            new OneDnnFiles.Part("libdnnl.so.3", "3610657c35381b06694034b677cf73f28086495aba51ecf0cfb5b6511652a443")),
            name -> OneDnnLibrary.class.getResourceAsStream("/org/bytedeco/dnnl/linux-x86_64/" + name));

    private OneDnnLibrary() {
    }

    /** Thrown when oneDNN cannot be used on this machine. */
    public static final class Unavailable extends UnsatisfiedLinkError {

        private static final long serialVersionUID = 1L;

        Unavailable(String message) {
            super(message);
        }
    }

    /** What came of opening it: its symbols and the handle of {@code omp_set_num_threads}, or why not. */
    private record Opened(SymbolLookup lookup, MethodHandle setThreads, Path file, String whyNot) {

        static final Opened ONCE = open(System.getProperty("os.name"), System.getProperty("os.arch"),
                cacheFolder(System.getenv(), System.getProperty("user.home")), FILES);
    }

    /** Whether it can be used here; unpacks and opens it the first time. */
    public static boolean isAvailable() {
        return Opened.ONCE.lookup != null;
    }

    /** Why it cannot be used, in one sentence; null where it can. */
    public static String whyNot() {
        return Opened.ONCE.whyNot;
    }

    /** The file that was opened. @throws Unavailable if none was */
    public static Path file() {
        return opened().file;
    }

    /** Its version, as {@code 3.13.0}. @throws Unavailable if it cannot be used */
    public static String version() {
        opened();
        MemorySegment version = OneDnn.dnnl_version().reinterpret(3 * Integer.BYTES);
        return version.getAtIndex(ValueLayout.JAVA_INT, 0) + "." + version.getAtIndex(ValueLayout.JAVA_INT, 1) + "."
                + version.getAtIndex(ValueLayout.JAVA_INT, 2);
    }

    /** The instructions that it uses here, as {@code AVX2}. @throws Unavailable if it cannot be used */
    public static String isa() {
        opened();
        int isa = OneDnn.dnnl_get_effective_cpu_isa();
        Map<Integer, String> names = Map.ofEntries(
                Map.entry(OneDnn.dnnl_cpu_isa_sse41(), "SSE4.1"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx(), "AVX"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx2(), "AVX2"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx2_vnni(), "AVX2 with VNNI"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx2_vnni_2(), "AVX2 with VNNI and bf16"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx512_core(), "AVX-512"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx512_core_vnni(), "AVX-512 with VNNI"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx512_core_bf16(), "AVX-512 with bf16"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx512_core_fp16(), "AVX-512 with bf16 and f16"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx512_core_amx(), "AVX-512 with AMX"),
                Map.entry(OneDnn.dnnl_cpu_isa_avx512_core_amx_fp16(), "AVX-512 with AMX and f16"));
        return names.getOrDefault(isa, "instruction set " + Integer.toHexString(isa));
    }

    /** Whether it finds instructions here that multiply and add pairs of bf16. @throws Unavailable if it cannot be used */
    public static boolean hasBf16Products() {
        opened();
        // an instruction set's number holds the bits of those that it includes
        int needed = OneDnn.dnnl_cpu_isa_avx512_core_bf16();
        return (OneDnn.dnnl_get_effective_cpu_isa() & needed) == needed;
    }

    /**
     * Sets how many threads share what the calling thread asks for from now on.
     *
     * @throws Unavailable if it cannot be used
     */
    public static void setThreads(int threads) {
        try {
            opened().setThreads.invokeExact(threads);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    /** A lookup that opens the library when its first symbol is asked for. */
    static SymbolLookup lookup() {
        return name -> opened().lookup.find(name);
    }

    private static Opened opened() {
        if (Opened.ONCE.lookup == null) {
            throw new Unavailable(Opened.ONCE.whyNot);
        }
        return Opened.ONCE;
    }

    /** Kleinscope's folder for it among the user's caches; relative paths are ignored as the XDG specification has it. */
    static Path cacheFolder(Map<String, String> environment, String home) {
        String caches = environment.getOrDefault("XDG_CACHE_HOME", "");
        boolean given = !caches.isEmpty() && Path.of(caches).isAbsolute();
        return (given ? Path.of(caches) : Path.of(home, ".cache")).resolve("kleinscope").resolve("onednn");
    }

    /** Why it could not be opened from there, or null. */
    static String tryOpen(String system, String architecture, Path cache, OneDnnFiles files) {
        return open(system, architecture, cache, files).whyNot;
    }

    private static Opened open(String system, String architecture, Path cache, OneDnnFiles files) {
        if (!system.equals("Linux") || !architecture.equals("amd64")) {
            return closed("oneDNN comes for Linux on x86-64 only, here is " + system + " on " + architecture);
        }
        String name = files.parts().getLast().sha256().substring(0, 16);
        try {
            List<Path> unpacked = files.unpack(cache.resolve(name));
            waitAsleep();
            SymbolLookup openMp = SymbolLookup.libraryLookup(unpacked.getFirst(), Arena.global());
            MethodHandle setThreads = Linker.nativeLinker().downcallHandle(openMp.findOrThrow("omp_set_num_threads"),
                    FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT));
            return new Opened(SymbolLookup.libraryLookup(unpacked.getLast(), Arena.global()), setThreads, unpacked.getLast(), null);
        } catch (IOException e) {
            return closed("oneDNN cannot be unpacked: " + e.getMessage());
        } catch (IllegalArgumentException e) {
            return closed("oneDNN cannot be opened, which needs glibc 2.34 and the C++ library of GCC 11 or newer: " + e.getMessage());
        }
    }

    private static Opened closed(String whyNot) {
        return new Opened(null, null, null, whyNot);
    }

    /**
     * Between products the OpenMP runtime's threads would spin for milliseconds on cores that our own need. It reads the environment as
     * it is loaded; what the user set stays.
     */
    private static void waitAsleep() {
        Linker linker = Linker.nativeLinker();
        MethodHandle set = linker.downcallHandle(linker.defaultLookup().findOrThrow("setenv"),
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        try (Arena arena = Arena.ofConfined()) {
            int _ = (int) set.invokeExact(arena.allocateFrom("OMP_WAIT_POLICY"), arena.allocateFrom("passive"), 0);
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }
}
