package dev.kleinscope.backend.cpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Memory that this machine, or the container that the process runs in, could still give to it. */
final class FreeMemory {

    private static final Path MEMINFO = Path.of("/proc/meminfo");
    private static final Path CGROUP = Path.of("/sys/fs/cgroup");

    private FreeMemory() {
    }

    /** Cached files count as free. {@link Long#MAX_VALUE} where the system does not tell. */
    static long bytes() {
        return Math.min(ofMachine(lines(MEMINFO)), ofContainer(lines(CGROUP.resolve("memory.max")),
                lines(CGROUP.resolve("memory.current")), lines(CGROUP.resolve("memory.stat"))));
    }

    static long ofMachine(List<String> meminfo) {
        return meminfo.stream().filter(line -> line.startsWith("MemAvailable:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024).findFirst().orElse(Long.MAX_VALUE);
    }

    static long ofContainer(List<String> max, List<String> current, List<String> stat) {
        if (max.isEmpty() || current.isEmpty() || max.getFirst().equals("max")) {
            return Long.MAX_VALUE;
        }
        long cached = stat.stream().filter(line -> line.startsWith("active_file ") || line.startsWith("inactive_file "))
                .mapToLong(line -> Long.parseLong(line.split(" ")[1])).sum();
        return Math.max(0, Long.parseLong(max.getFirst()) - Long.parseLong(current.getFirst()) + cached);
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException _) {
            return List.of();
        }
    }
}
