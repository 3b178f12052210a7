package dev.kleinscope.cli;

import com.sun.management.OperatingSystemMXBean;
import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.cuda.CudaOps;
import dev.kleinscope.pipeline.TokenizerLibrary;
import dev.kleinscope.weights.ModelException;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import jdk.incubator.vector.FloatVector;

/** What this machine offers, as {@code kleinscope doctor} prints it. All memory in bytes. */
record Doctor(
        String kleinscope,
        Jdk jdk,
        String system,
        int cores,
        int vectorBits,
        Memory memory,
        Tokenizers tokenizers,
        NativeProbe.Library oneDnn,
        String cpuProducts,
        List<NativeProbe.Library> libraries,
        NativeProbe.Gpus gpu,
        Cache cache,
        String backend) {

    record Jdk(String version, String vendor, String path) {}

    /**
     * @param limit what a container allows; the total where it sets no limit
     * @param heap what the Java heap may grow to
     */
    record Memory(long total, long available, long limit, long heap) {}

    record Tokenizers(boolean loads, String detail) {}

    record Cache(String folder, boolean writable) {}

    static Doctor examine() {
        return new Doctor(
                Version.kleinscope(),
                new Jdk(System.getProperty("java.runtime.version"), System.getProperty("java.vendor"),
                        System.getProperty("java.home")),
                Version.system(),
                Runtime.getRuntime().availableProcessors(),
                FloatVector.SPECIES_PREFERRED.vectorBitSize(),
                readMemory(),
                loadTokenizers(),
                NativeProbe.oneDnn(),
                CpuOps.whyNoBf16() == null ? "bf16" : "f32, since " + CpuOps.whyNoBf16(),
                NativeProbe.libraries(),
                NativeProbe.gpus(),
                probe(TokenizerLibrary.cacheFolder()),
                CudaOps.unavailable() == null ? "cuda" : "cpu, since " + CudaOps.unavailable());
    }

    private static Memory readMemory() {
        // the JVM's own figures are the container's where there is one; the kernel's are the machine's
        var jvm = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long limit = jvm.getTotalMemorySize();
        long total = limit;
        long available = jvm.getFreeMemorySize();
        try {
            for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
                if (line.startsWith("MemTotal:")) {
                    total = kibibytes(line);
                } else if (line.startsWith("MemAvailable:")) {
                    available = limit < total ? available : kibibytes(line);
                }
            }
        } catch (IOException _) {
            // not Linux: the JVM's figures stand
        }
        return new Memory(total, available, limit, Runtime.getRuntime().maxMemory());
    }

    private static long kibibytes(String line) {
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
    }

    private static Tokenizers loadTokenizers() {
        try {
            return new Tokenizers(true, TokenizerLibrary.load().toString());
        } catch (ModelException e) {
            return new Tokenizers(false, e.getMessage());
        }
    }

    static Cache probe(Path folder) {
        Path existing = folder;
        while (existing != null && !Files.exists(existing)) {
            existing = existing.getParent();
        }
        return new Cache(folder.toString(), existing != null && Files.isDirectory(existing) && Files.isWritable(existing));
    }

    /** A number of bytes as people read it: {@code 23.4 GiB}. */
    static String bytes(long bytes) {
        double value = bytes;
        String unit = "B";
        for (String next : List.of("KiB", "MiB", "GiB", "TiB")) {
            if (value < 1024) {
                break;
            }
            value /= 1024;
            unit = next;
        }
        return unit.equals("B") ? bytes + " B" : String.format(Locale.ROOT, "%.1f %s", value, unit);
    }
}
