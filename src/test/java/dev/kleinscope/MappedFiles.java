package dev.kleinscope;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What the kernel says of this process's memory. */
public final class MappedFiles {

    private static final Path SMAPS = Path.of("/proc/self/smaps");

    private MappedFiles() {
    }

    /** Bytes of a mapped file that are in this process's memory. Skips the test where the kernel does not tell. */
    public static long residentBytes(Path file) throws IOException {
        assumeTrue(Files.isReadable(SMAPS), "only Linux tells which pages a process has");
        long kibibytes = 0;
        boolean within = false;
        for (String line : Files.readAllLines(SMAPS)) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                within = line.endsWith(file.toRealPath().toString());
            } else if (within && line.startsWith("Rss:")) {
                kibibytes += Long.parseLong(line.replaceAll("\\D", ""));
            }
        }
        return kibibytes * 1024;
    }

    /** What the kernel tells of the mapping that an address lies in. */
    public static List<String> mapping(long address) throws IOException {
        assumeTrue(Files.isReadable(SMAPS), "only Linux tells which pages a process has");
        List<String> lines = Files.readAllLines(SMAPS);
        int from = -1;
        for (int i = 0; i < lines.size(); i++) {
            if (lines.get(i).matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                if (from >= 0) {
                    return lines.subList(from, i);
                }
                String[] range = lines.get(i).split(" ")[0].split("-");
                if (Long.parseUnsignedLong(range[0], 16) <= address && address < Long.parseUnsignedLong(range[1], 16)) {
                    from = i;
                }
            }
        }
        throw new AssertionError("no mapping at " + Long.toHexString(address));
    }
}
