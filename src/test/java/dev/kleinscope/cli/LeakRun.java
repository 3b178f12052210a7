package dev.kleinscope.cli;

import dev.kleinscope.backend.cuda.CudaOps;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelFiles;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Draws many pictures on the GPU in one process, then opens and closes the backend many times, and prints what memory is in use
 * after each share: the device's, as the driver tells it, the process's resident memory, and the Java heap after a collection.
 *
 * <p>Arguments: a model folder, how many pictures (200), how many times to open the backend (40), the precision (bf16). Exits with 1 if memory of the
 * device, or more than a little of the process, was not returned. To be run with a heap that is all there from the start, lest its
 * growth look like a leak: {@code -Xms256m -Xmx256m -XX:+AlwaysPreTouch}.
 */
final class LeakRun {

    private static final int SIDE = 64;
    private static final int STEPS = 2;
    private static final int TOKENS = 64;

    /** Resident memory moves by this much of itself: compiled code, and what the compiler and the collector work with. */
    private static final long PROCESS_SLACK_BYTES = 24L << 20;

    private LeakRun() {
    }

    private record Use(long device, long process, long heap) {

        static Use now() throws IOException {
            System.gc();
            trim();
            long heap = Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
            return new Use(deviceBytes(), resident(), heap);
        }

        void print(String after) {
            System.out.printf("%-24s device %9.1f MiB   process %8.1f MiB   heap %6.1f MiB%n", after, device / 0x1p20, process / 0x1p20,
                    heap / 0x1p20);
        }
    }

    public static void main(String[] args) throws IOException {
        ModelFiles files = ModelFiles.resolve(args[0]);
        int pictures = args.length > 1 ? Integer.parseInt(args[1]) : 200;
        int openings = args.length > 2 ? Integer.parseInt(args[2]) : 40;
        Precision precision = args.length > 3 ? Precision.valueOf(args[3].toUpperCase(Locale.ROOT)) : Precision.BF16;
        boolean leaks = false;
        try (CudaOps first = new CudaOps(precision)) {
            // a context of our own outlives each backend's, so that nothing is returned by the context's end alone
            holdContext();
            System.out.println(first.describe());
            leaks |= draw(files, first, pictures);
        }
        Use before = null;
        for (int i = 1; i <= openings; i++) {
            try (CudaOps ops = new CudaOps(precision); Klein klein = new Klein(files, ops)) {
                picture(klein, i);
            }
            if (i == 5 || i % 10 == 0 || i == openings) {
                Use use = Use.now();
                use.print("after " + i + " openings");
                leaks |= i == openings && before != null && grew(before, use);
                before = before == null && i >= 10 ? use : before;
            }
        }
        System.out.println(leaks ? "memory was not returned" : "no memory is lost");
        System.exit(leaks ? 1 : 0);
    }

    private static boolean draw(ModelFiles files, CudaOps ops, int pictures) throws IOException {
        Set<Integer> shares = Set.of(20, 50, 100, 150, pictures);
        Use before = null;
        Use use = null;
        long start = System.nanoTime();
        try (Klein klein = new Klein(files, ops)) {
            for (int i = 1; i <= pictures; i++) {
                picture(klein, i);
                if (shares.contains(i)) {
                    use = Use.now();
                    use.print("after " + i + " pictures");
                    before = i < 50 ? null : before == null ? use : before;
                }
            }
            System.out.printf("%.1f ms a picture%n", (System.nanoTime() - start) / 1e6 / pictures);
        }
        return before != null && grew(before, use);
    }

    private static void picture(Klein klein, int seed) {
        HostTensor embeds = klein.encode(klein.tokenizer().prompt("a red cube on a table", TOKENS));
        klein.dropTextEncoder();
        var shape = klein.latentShape(SIDE, SIDE);
        HostTensor noise = new HostTensor("latents", shape,
                TorchNoise.randn(TorchNoise.Kind.TORCH_CPU, TorchNoise.Type.F32, seed, shape.dims()));
        HostTensor latents = klein.denoise(new Denoising(STEPS, 1, true), noise, embeds, null, List.of(), null, null);
        HostTensor planes = klein.pictures().decode(latents);
        for (float value : planes.values()) {
            if (!Float.isFinite(value)) {
                throw new IllegalStateException("picture " + seed + " holds " + value);
            }
        }
    }

    /** From when everything was used once. */
    private static boolean grew(Use before, Use after) {
        return after.device > before.device || after.process > before.process + PROCESS_SLACK_BYTES;
    }

    private static void holdContext() {
        try (Arena arena = Arena.ofConfined()) {
            require(CudaDriver.cuDevicePrimaryCtxRetain(arena.allocate(ValueLayout.ADDRESS), 0));
        }
    }

    private static long deviceBytes() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment free = arena.allocate(ValueLayout.JAVA_LONG);
            MemorySegment total = arena.allocate(ValueLayout.JAVA_LONG);
            require(CudaDriver.cuMemGetInfo_v2(free, total));
            return total.get(ValueLayout.JAVA_LONG, 0) - free.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    /** Has the C library return what it keeps for later, so that what is left is in use. */
    private static void trim() {
        Linker.nativeLinker().defaultLookup().find("malloc_trim").ifPresent(function -> {
            try {
                Object _ = Linker.nativeLinker().downcallHandle(function,
                        FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG)).invoke(0L);
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
        });
    }

    private static void require(int status) {
        if (status != 0) {
            throw new IllegalStateException("the driver answers with error " + status);
        }
    }

    private static long resident() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024).findFirst().orElse(0);
    }
}
