package dev.kleinscope.backend.cuda;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Locale;

/** How fast a file in the page cache reaches the GPU, by the number of threads. Argument: a file of a gigabyte or more. */
final class UploadBench {

    private static final long PIECE_BYTES = 64L << 20;

    private UploadBench() {
    }

    public static void main(String[] args) throws IOException {
        try (Cuda cuda = Cuda.open(false); DeviceMemory memory = new DeviceMemory(cuda)) {
            long target = memory.keep(PIECE_BYTES, "the target");
            for (int threads : new int[] {1, 8, 1, 2, 4, 6, 8, 12, 16}) {
                long opened = System.nanoTime();
                try (Staging staging = new Staging(cuda, threads); Arena arena = Arena.ofShared();
                        FileChannel file = FileChannel.open(Path.of(args[0]))) {
                    MemorySegment mapped = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size(), arena);
                    double fresh = pass(cuda, staging, mapped, target, System.nanoTime());
                    double again = pass(cuda, staging, mapped, target, System.nanoTime());
                    System.out.printf(Locale.ROOT, "%2d threads: first pass %.2f GB/s, second %.2f GB/s, all %.2f s%n", threads,
                            mapped.byteSize() / fresh / 1e9, mapped.byteSize() / again / 1e9, (System.nanoTime() - opened) / 1e9);
                }
            }
        }
    }

    private static double pass(Cuda cuda, Staging staging, MemorySegment mapped, long target, long start) {
        for (long at = 0; at < mapped.byteSize(); at += PIECE_BYTES) {
            staging.upload(mapped.asSlice(at, Math.min(PIECE_BYTES, mapped.byteSize() - at)), target);
        }
        cuda.synchronize();
        return (System.nanoTime() - start) / 1e9;
    }
}
