package dev.kleinscope.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class HostFramesTest {

    private final HostFrames frames = new HostFrames("test");

    @AfterEach
    void close() {
        frames.close();
    }

    @Test
    void allocationOutsideAFrameIsAnError() {
        var error = assertThrows(IllegalStateException.class, () -> frames.alloc(Shape.of(2, 3)));
        assertTrue(error.getMessage().contains("[2, 3]"), error.getMessage());
    }

    @Test
    void aReadAfterTheFrameEndsNamesTheFrame() {
        Tensor tensor;
        try (Frame _ = frames.open()) {
            tensor = frames.input(HostTensor.of("img", new float[] {1, 2}, 2));
            assertArrayEquals(new float[] {1, 2}, tensor.toHost().values());
        }
        var error = assertThrows(IllegalStateException.class, tensor::toHost);
        assertTrue(error.getMessage().contains("frame 1 of test"), error.getMessage());
    }

    @Test
    void aStaleTensorStaysDeadWhenItsMemoryServesAnother() {
        Tensor stale;
        try (Frame _ = frames.open()) {
            stale = frames.alloc(Shape.of(16));
        }
        long held = frames.bytesHeld();
        try (Frame _ = frames.open()) {
            frames.alloc(Shape.of(16));
            assertEquals(held, frames.bytesHeld());
            assertThrows(IllegalStateException.class, stale::toHost);
        }
    }

    @Test
    void escapedTensorsLiveAsLongAsTheParent() {
        Tensor result;
        try (Frame _ = frames.open()) {
            try (Frame inner = frames.open()) {
                Tensor made = frames.input(HostTensor.of("x", new float[] {7}, 1));
                result = inner.escape(made);
                assertSame(made, result);
            }
            assertArrayEquals(new float[] {7}, result.toHost().values());
            try (Frame inner = frames.open()) {
                assertSame(result, inner.escape(result));
            }
            assertArrayEquals(new float[] {7}, result.toHost().values());
        }
        assertThrows(IllegalStateException.class, result::toHost);
    }

    @Test
    void theOutermostFrameHasNowhereToEscapeTo() {
        try (Frame frame = frames.open()) {
            Tensor tensor = frames.alloc(Shape.of(1));
            assertThrows(IllegalStateException.class, () -> frame.escape(tensor));
        }
    }

    @Test
    void releasedMemoryIsReusedAndItsViewsDie() {
        try (Frame frame = frames.open()) {
            Tensor tensor = frames.alloc(Shape.of(4, 8));
            Tensor view = tensor.slice(1, 2, 4);
            long held = frames.bytesHeld();
            frame.release(tensor);
            assertThrows(IllegalStateException.class, view::toHost);
            frames.alloc(Shape.of(32));
            assertEquals(held, frames.bytesHeld());
            assertThrows(IllegalArgumentException.class, () -> frame.release(tensor));
        }
    }

    @Test
    void framesCloseInOrder() {
        Frame outer = frames.open();
        Frame inner = frames.open();
        var error = assertThrows(IllegalStateException.class, outer::close);
        assertTrue(error.getMessage().contains("frame 1 of test") && error.getMessage().contains("frame 2 of test"),
                error.getMessage());
        inner.close();
        outer.close();
        outer.close();
        assertThrows(IllegalStateException.class, () -> outer.release(null));
    }

    @Test
    void theSecondOfTwoEqualStepsTakesNoNewMemory() {
        step(frames);
        long held = frames.bytesHeld();
        long peak = frames.peakBytes();
        step(frames);
        assertEquals(held, frames.bytesHeld());
        assertEquals(peak, frames.peakBytes());
        assertTrue(peak <= held && peak >= 4 * (1000 + 5000), peak + " of " + held);
    }

    private static void step(HostFrames frames) {
        try (Frame outer = frames.open()) {
            Tensor x = frames.alloc(Shape.of(1000));
            for (int block = 0; block < 3; block++) {
                try (Frame inner = frames.open()) {
                    frames.alloc(Shape.of(5000));
                    Tensor next = inner.escape(frames.alloc(Shape.of(1000)));
                    outer.release(x);
                    x = next;
                }
            }
        }
    }

    @Test
    void blocksAreAlignedAndNearTheirSize() {
        try (Frame _ = frames.open()) {
            for (long size : new long[] {0, 1, 17, 1023, 100_003, 1 << 20}) {
                long before = frames.bytesHeld();
                Tensor tensor = frames.alloc(Shape.of(size));
                assertEquals(0, HostRows.segment(tensor).address() % 64);
                assertEquals(size * 4, HostRows.segment(tensor).byteSize());
                long held = frames.bytesHeld() - before;
                assertTrue(held <= Math.max(64 + size * 4, size * 4.5), size + " floats hold " + held + " bytes");
            }
        }
    }

    @Test
    void closingThePoolEndsOpenFrames() {
        HostFrames other = new HostFrames("other");
        other.open();
        Tensor tensor = other.alloc(Shape.of(3));
        other.close();
        assertThrows(IllegalStateException.class, tensor::toHost);
        assertThrows(IllegalStateException.class, other::open);
        assertEquals(0, other.bytesHeld());
    }
}
