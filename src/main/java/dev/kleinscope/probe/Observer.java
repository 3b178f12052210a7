package dev.kleinscope.probe;

import dev.kleinscope.tensor.Tensor;

/** Sees activations as they are computed, and changes none. */
public interface Observer {

    /** Asked before anything is copied or synchronised. Must answer alike throughout a run. */
    boolean wants(String point);

    /**
     * Called once a forward for each wanted point. The tensor lives at least until the next block has been seen; copy
     * what must outlive it.
     */
    void saw(int step, Pass pass, String point, Tensor tensor);

    /**
     * Whether {@link #saw} only queues sums on the backend ({@code Readings}) and reads nothing before {@link #done}. Then they
     * become part of the computation that a backend records, and watching costs next to nothing.
     */
    default boolean queues() {
        return false;
    }

    /** The forward under way begins again: forget what was seen of it. Only called where {@link #queues}. */
    default void again() {
    }

    /** Called after each forward whose points were seen: the time to read what {@link #saw} queued on the backend. */
    default void done(int step, Pass pass) {
    }
}
