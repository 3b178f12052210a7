package dev.kleinscope.ops;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class HostPoolTest {

    /** Twelve of them count as a large block. */
    private static final long UNIT_BYTES = 96 << 10;

    private final HostPool pool = new HostPool();

    @AfterEach
    void close() {
        pool.close();
    }

    @Test
    void stepsOfDifferentKindsShareTheMemoryOfTheLarger() {
        // as a transformer's blocks of two streams and of one
        long[] narrow = {18, 18, 18, 54, 18, 18, 12, 12, 12, 72, 36, 12};
        long[] wide = {18, 18, 162, 18, 18, 72, 18, 18};
        for (int step = 0; step < 3; step++) {
            step(narrow);
            step(wide);
        }
        long settled = pool.bytesHeld();
        assertEquals(342 * UNIT_BYTES, pool.peakBytes());
        assertTrue(settled <= pool.peakBytes() / 8 * 9, settled + " bytes held, and at most " + pool.peakBytes() + " in use at once");
        for (int step = 0; step < 3; step++) {
            step(narrow);
            step(wide);
            assertEquals(settled, pool.bytesHeld());
        }
    }

    private void step(long[] sizes) {
        List<HostPool.Span> taken = new ArrayList<>();
        for (long size : sizes) {
            taken.add(pool.take(size * UNIT_BYTES));
        }
        taken.forEach(pool::give);
        assertEquals(0, pool.bytesInUse());
    }

    @Test
    void neighboursThatAreFreeBecomeOne() {
        pool.give(pool.take(90 * UNIT_BYTES));
        long held = pool.bytesHeld();
        for (int[] order : new int[][] {{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}}) {
            List<HostPool.Span> parts = List.of(pool.take(30 * UNIT_BYTES), pool.take(30 * UNIT_BYTES), pool.take(30 * UNIT_BYTES));
            for (int part : order) {
                pool.give(parts.get(part));
            }
            HostPool.Span whole = pool.take(90 * UNIT_BYTES);
            assertEquals(90 * UNIT_BYTES, whole.memory().byteSize());
            assertEquals(held, pool.bytesHeld());
            pool.give(whole);
        }
    }

    @Test
    void blocksInUseNeverMeetAndKeepWhatIsWrittenToThem() {
        Random random = new Random(1);
        List<HostPool.Span> taken = new ArrayList<>();
        List<Byte> marks = new ArrayList<>();
        long inUse = 0;
        for (int i = 0; i < 4000; i++) {
            if (taken.size() < 12 && random.nextBoolean()) {
                long bytes = random.nextInt(8) == 0 ? random.nextLong(1, 5 << 20) : random.nextLong(0, 40_000);
                HostPool.Span span = pool.take(bytes);
                MemorySegment memory = span.memory();
                assertTrue(memory.byteSize() >= bytes && memory.byteSize() < bytes + 65 && memory.address() % 64 == 0, bytes + " in " + memory);
                memory.fill((byte) i);
                taken.add(span);
                marks.add((byte) i);
                inUse += memory.byteSize();
            } else if (!taken.isEmpty()) {
                int which = random.nextInt(taken.size());
                HostPool.Span span = taken.remove(which);
                byte mark = marks.remove(which);
                MemorySegment memory = span.memory();
                for (long at = 0; at < memory.byteSize(); at += 64) {
                    assertEquals(mark, memory.get(ValueLayout.JAVA_BYTE, at));
                }
                inUse -= memory.byteSize();
                pool.give(span);
            }
            assertEquals(inUse, pool.bytesInUse());
            long[] free = {0};
            pool.unused(memory -> free[0] += memory.byteSize());
            assertEquals(pool.bytesHeld(), inUse + free[0]);
        }
    }
}
