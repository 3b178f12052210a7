package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Finds the fastest of several ways to queue the same work. They take turns, since a GPU under load slows down by up to a fifth and
 * whoever came last would lose; before each turn the second-level cache is filled with something else, as it is when a model runs.
 */
final class ProductTuner {

    private static final long CACHE_BYTES = 96L << 20;
    private static final double BUDGET_MILLISECONDS = 120;
    private static final int LEAST_ROUNDS = 4;
    private static final int MOST_ROUNDS = 15;

    /** A win smaller than this is not told from noise, so the earlier candidate stays. */
    private static final double LEAST_WIN = 0.01;

    private final Cuda cuda;
    private final DeviceMemory memory;

    ProductTuner(Cuda cuda, DeviceMemory memory) {
        this.cuda = cuda;
        this.memory = memory;
    }

    /** Queues candidate {@code index}. */
    interface Candidate {
        void run(int index);
    }

    /** Index of the fastest of {@code count}. Waits for the device. */
    int fastest(int count, Candidate candidate) {
        if (count < 2) {
            return 0;
        }
        DeviceMemory.Block scratch = memory.take(CACHE_BYTES, "the measurement of products");
        try (Arena arena = Arena.ofConfined(); Timer timer = new Timer(cuda, arena)) {
            double once = 0;
            for (int i = 0; i < count; i++) {
                once += timer.milliseconds(scratch, candidate, i);
            }
            int rounds = (int) Math.clamp(BUDGET_MILLISECONDS / Math.max(once, 1e-3), LEAST_ROUNDS, MOST_ROUNDS);
            double[][] times = new double[count][rounds];
            for (int round = 0; round < rounds; round++) {
                for (int i = 0; i < count; i++) {
                    times[i][round] = timer.milliseconds(scratch, candidate, i);
                }
            }
            int best = 0;
            double least = median(times[0]);
            for (int i = 1; i < count; i++) {
                double time = median(times[i]);
                if (time < least * (1 - LEAST_WIN)) {
                    best = i;
                    least = time;
                }
            }
            return best;
        } finally {
            memory.give(scratch);
        }
    }

    private static double median(double[] times) {
        Arrays.sort(times);
        return times[times.length / 2];
    }

    private static final class Timer implements AutoCloseable {

        private final Cuda cuda;
        private final MemorySegment start;
        private final MemorySegment end;
        private final MemorySegment elapsed;

        Timer(Cuda cuda, Arena arena) {
            this.cuda = cuda;
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            Cuda.driver(CudaDriver.cuEventCreate(pointer, CudaDriver.CU_EVENT_DEFAULT()), "cuEventCreate");
            start = pointer.get(ValueLayout.ADDRESS, 0);
            Cuda.driver(CudaDriver.cuEventCreate(pointer, CudaDriver.CU_EVENT_DEFAULT()), "cuEventCreate");
            end = pointer.get(ValueLayout.ADDRESS, 0);
            elapsed = arena.allocate(ValueLayout.JAVA_FLOAT);
        }

        double milliseconds(DeviceMemory.Block scratch, Candidate candidate, int index) {
            Cuda.driver(CudaDriver.cuMemsetD8Async(scratch.address(), (byte) 0, scratch.bytes(), cuda.stream()), "cuMemsetD8Async");
            Cuda.driver(CudaDriver.cuEventRecord(start, cuda.stream()), "cuEventRecord");
            candidate.run(index);
            Cuda.driver(CudaDriver.cuEventRecord(end, cuda.stream()), "cuEventRecord");
            Cuda.driver(CudaDriver.cuEventSynchronize(end), "cuEventSynchronize");
            Cuda.driver(CudaDriver.cuEventElapsedTime_v2(elapsed, start, end), "cuEventElapsedTime");
            return elapsed.get(ValueLayout.JAVA_FLOAT, 0);
        }

        @Override
        public void close() {
            Cuda.driver(CudaDriver.cuEventDestroy_v2(start), "cuEventDestroy");
            Cuda.driver(CudaDriver.cuEventDestroy_v2(end), "cuEventDestroy");
        }
    }
}
