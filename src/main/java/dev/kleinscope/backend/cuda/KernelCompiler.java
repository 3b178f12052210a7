package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.nvrtc.Nvrtc;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/**
 * Compiles {@code kernels/*.cu}, which the jar holds, with NVRTC for one architecture.
 *
 * <p>Machine code is kept in {@code ~/.cache/kleinscope/cubin} under a hash of the sources, the options and NVRTC's version. A
 * cache that cannot be read or written is done without.
 */
final class KernelCompiler {

    private static final String HEADER = "common.cuh";

    private final String architecture;

    /** @param computeCapability ten times the major number, plus the minor */
    KernelCompiler(int computeCapability) {
        architecture = "sm_" + computeCapability;
    }

    /** Machine code of one source file, named without its ending: what was kept, or else {@link #compiled}. */
    byte[] cubin(String file) {
        try {
            return Files.readAllBytes(kept(file));
        } catch (IOException _) {
            return compiled(file);
        }
    }

    /** Compiles, and keeps the result. */
    byte[] compiled(String file) {
        byte[] cubin = compile(file + ".cu", resource(file + ".cu"), resource(HEADER), options());
        CacheFolder.keep(kept(file), cubin);
        return cubin;
    }

    private Path kept(String file) {
        return CacheFolder.of("cubin").resolve(file + "-" + architecture + "-"
                + key(resource(file + ".cu"), resource(HEADER), options()) + ".cubin");
    }

    private List<String> options() {
        return List.of("--gpu-architecture=" + architecture, "--std=c++17", "--fmad=true");
    }

    private static byte[] compile(String file, String source, String header, List<String> options) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            check(Nvrtc.nvrtcCreateProgram(pointer, arena.allocateFrom(source), arena.allocateFrom(file), 1,
                    strings(List.of(header), arena), strings(List.of(HEADER), arena)), "nvrtcCreateProgram", file);
            MemorySegment program = pointer.get(ValueLayout.ADDRESS, 0);
            try {
                int status = Nvrtc.nvrtcCompileProgram(program, options.size(), strings(options, arena));
                if (status != 0) {
                    throw new CudaException("nvrtcCompileProgram", status, Cuda.string(Nvrtc.nvrtcGetErrorString(status)),
                            file + " with " + options + ": " + log(program, arena));
                }
                MemorySegment size = arena.allocate(ValueLayout.JAVA_LONG);
                check(Nvrtc.nvrtcGetCUBINSize(program, size), "nvrtcGetCUBINSize", file);
                MemorySegment cubin = arena.allocate(size.get(ValueLayout.JAVA_LONG, 0));
                check(Nvrtc.nvrtcGetCUBIN(program, cubin), "nvrtcGetCUBIN", file);
                return cubin.toArray(ValueLayout.JAVA_BYTE);
            } finally {
                Nvrtc.nvrtcDestroyProgram(pointer);
            }
        }
    }

    private static String log(MemorySegment program, Arena arena) {
        MemorySegment size = arena.allocate(ValueLayout.JAVA_LONG);
        check(Nvrtc.nvrtcGetProgramLogSize(program, size), "nvrtcGetProgramLogSize", "");
        MemorySegment text = arena.allocate(Math.max(1, size.get(ValueLayout.JAVA_LONG, 0)));
        check(Nvrtc.nvrtcGetProgramLog(program, text), "nvrtcGetProgramLog", "");
        return text.getString(0);
    }

    private static MemorySegment strings(List<String> texts, Arena arena) {
        MemorySegment pointers = arena.allocate(ValueLayout.ADDRESS, texts.size());
        for (int i = 0; i < texts.size(); i++) {
            pointers.setAtIndex(ValueLayout.ADDRESS, i, arena.allocateFrom(texts.get(i)));
        }
        return pointers;
    }

    private static void check(int status, String call, String file) {
        if (status != 0) {
            throw new CudaException(call, status, Cuda.string(Nvrtc.nvrtcGetErrorString(status)), file);
        }
    }

    private static String key(String source, String header, List<String> options) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment major = arena.allocate(ValueLayout.JAVA_INT);
            MemorySegment minor = arena.allocate(ValueLayout.JAVA_INT);
            check(Nvrtc.nvrtcVersion(major, minor), "nvrtcVersion", "");
            String all = String.join("\0", source, header, options.toString(),
                    major.get(ValueLayout.JAVA_INT, 0) + "." + minor.get(ValueLayout.JAVA_INT, 0));
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(all.getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(hash, 0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String resource(String name) {
        try (InputStream in = KernelCompiler.class.getResourceAsStream("/kernels/" + name)) {
            if (in == null) {
                throw new IllegalStateException("this build holds no kernels/" + name);
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
