package dev.kleinscope.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * What this process has fetched from disk since it began.
 *
 * @param majorFaults accesses to memory that had to wait for a disk
 * @param bytes read from disks
 */
record DiskReads(long majorFaults, long bytes) {

    /** Fewer waits than this are no reason to say anything. */
    private static final long MANY_FAULTS = 1000;
    /** How often weights must have been read: once is as it should be. */
    private static final double OFTEN = 1.5;
    private static final int MAJOR_FAULTS_FIELD = 9;

    /** Zeros where the system does not tell. */
    static DiskReads now() {
        try {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            // fields after the command's name, which may hold anything
            long faults = Long.parseLong(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[MAJOR_FAULTS_FIELD]);
            return new DiskReads(faults, readBytes(Files.readAllLines(Path.of("/proc/self/io"))));
        } catch (IOException _) {
            return new DiskReads(0, 0);
        }
    }

    private static long readBytes(List<String> io) {
        return io.stream().filter(line -> line.startsWith("read_bytes: ")).mapToLong(line -> Long.parseLong(line.substring(12))).sum();
    }

    /**
     * A remark on weights that were read more than once; null if there is nothing to remark.
     *
     * @param weightBytes all weights of the run
     * @param copied whether they were copied into memory
     */
    static String note(DiskReads before, DiskReads after, long weightBytes, boolean copied) {
        long faults = after.majorFaults - before.majorFaults;
        double times = (after.bytes - before.bytes) / (double) Math.max(1, weightBytes);
        if (faults < MANY_FAULTS || times < OFTEN) {
            return null;
        }
        return String.format(Locale.ROOT, "weights were read %.1f times from disk (%s of %s, %d waits): the kernel drops their pages between "
                + "steps; %s", times, Doctor.bytes(after.bytes - before.bytes), Doctor.bytes(weightBytes), faults,
                copied ? "end what else takes memory" : "try --copy-weights if they fit into memory, else --memory-budget, which keeps as "
                        + "many as it may");
    }
}
