package dev.kleinscope.backend.cuda;

import dev.kleinscope.bindings.cuda.driver.CudaDriver;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Finds the fastest of several ways to queue the same work. They take turns under sustained load, since a GPU that works hard slows
 * down by up to a fifth, and not alike for all: whoever came first, or ran after a pause, would win.
 */
final class ProductTuner {

    /** Weights that fit in the second-level cache are not there when a model runs: it is filled with something else before each run. */
    private static final long CACHE_BYTES = 64L << 20;

    private static final double WARM_MILLISECONDS = 60;
    private static final double BURST_MILLISECONDS = 1.5;
    private static final double BUDGET_MILLISECONDS = 240;
    private static final int LEAST_ROUNDS = 3;
    private static final int MOST_ROUNDS = 12;
    private static final int MOST_BURST = 32;

    /** A win smaller than this is not told from noise, so the earlier candidate stays. */
    private static final double LEAST_WIN = 0.005;

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

    /**
     * Index of the fastest of {@code count}. Waits for the device.
     *
     * @param weightBytes how much of the weights the work reads
     */
    int fastest(int count, long weightBytes, Candidate candidate) {
        if (count < 2) {
            return 0;
        }
        boolean cached = weightBytes < CACHE_BYTES;
        DeviceMemory.Block scratch = memory.take(cached ? CACHE_BYTES : 1, "the measurement of products");
        try (Arena arena = Arena.ofConfined(); Events events = new Events(cuda, arena, count + 1)) {
            Turn turn = new Turn(events, candidate, cached ? scratch : null, count);
            double once = turn.milliseconds(1)[0];
            int burst = Math.clamp(Math.round(BURST_MILLISECONDS / Math.max(once, 1e-3)), 1, MOST_BURST);
            double turnTime = Math.max(1e-3, once * burst * count);
            for (double warmed = 0; warmed < WARM_MILLISECONDS; warmed += turnTime) {
                turn.milliseconds(burst);
            }
            int rounds = (int) Math.clamp(BUDGET_MILLISECONDS / turnTime, LEAST_ROUNDS, MOST_ROUNDS);
            double[][] times = new double[count][rounds];
            for (int round = 0; round < rounds; round++) {
                double[] each = turn.milliseconds(burst);
                for (int i = 0; i < count; i++) {
                    times[i][round] = each[i];
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

    /** Every candidate once, each {@code burst} times in a row. */
    private final class Turn {

        private final Events events;
        private final Candidate candidate;
        private final DeviceMemory.Block scratch;
        private final int count;

        Turn(Events events, Candidate candidate, DeviceMemory.Block scratch, int count) {
            this.events = events;
            this.candidate = candidate;
            this.scratch = scratch;
            this.count = count;
        }

        /** Of one run of each, what is between two runs included. */
        double[] milliseconds(int burst) {
            events.record(0);
            for (int i = 0; i < count; i++) {
                for (int run = 0; run < burst; run++) {
                    if (scratch != null) {
                        Cuda.driver(CudaDriver.cuMemsetD8Async(scratch.address(), (byte) 0, CACHE_BYTES, cuda.stream()), "cuMemsetD8Async");
                    }
                    candidate.run(i);
                }
                events.record(i + 1);
            }
            double[] each = new double[count];
            for (int i = 0; i < count; i++) {
                each[i] = events.milliseconds(i, i + 1) / burst;
            }
            return each;
        }
    }

    private static final class Events implements AutoCloseable {

        private final Cuda cuda;
        private final MemorySegment[] events;
        private final MemorySegment elapsed;

        Events(Cuda cuda, Arena arena, int count) {
            this.cuda = cuda;
            events = new MemorySegment[count];
            elapsed = arena.allocate(ValueLayout.JAVA_FLOAT);
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            for (int i = 0; i < count; i++) {
                Cuda.driver(CudaDriver.cuEventCreate(pointer, CudaDriver.CU_EVENT_DEFAULT()), "cuEventCreate");
                events[i] = pointer.get(ValueLayout.ADDRESS, 0);
            }
        }

        void record(int index) {
            Cuda.driver(CudaDriver.cuEventRecord(events[index], cuda.stream()), "cuEventRecord");
        }

        double milliseconds(int from, int to) {
            Cuda.driver(CudaDriver.cuEventSynchronize(events[to]), "cuEventSynchronize");
            Cuda.driver(CudaDriver.cuEventElapsedTime_v2(elapsed, events[from], events[to]), "cuEventElapsedTime");
            return elapsed.get(ValueLayout.JAVA_FLOAT, 0);
        }

        @Override
        public void close() {
            for (MemorySegment event : events) {
                Cuda.driver(CudaDriver.cuEventDestroy_v2(event), "cuEventDestroy");
            }
        }
    }
}
