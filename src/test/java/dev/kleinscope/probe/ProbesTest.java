package dev.kleinscope.probe;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.kleinscope.tensor.Tensor;
import org.junit.jupiter.api.Test;

class ProbesTest {

    private record Watching(boolean queues) implements Observer {

        @Override
        public boolean wants(String point) {
            return true;
        }

        @Override
        public void saw(int step, Pass pass, String point, Tensor tensor) {
        }
    }

    @Test
    void onlyAnObserverThatQueuesSumsTellsPassesApart() {
        assertEquals(Pass.UNCOND, Probes.of(new Watching(true), 0, Pass.UNCOND).pass());
        assertEquals(Pass.COND, Probes.of(new Watching(true), 0, Pass.COND).pass());
        assertEquals(Pass.COND, Probes.of(new Watching(false), 0, Pass.UNCOND).pass());
        assertEquals(Pass.COND, Probes.NONE.pass());
    }
}
