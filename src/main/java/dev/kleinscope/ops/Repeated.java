package dev.kleinscope.ops;

import dev.kleinscope.tensor.Tensor;
import java.util.List;

/** Operations that are queued again and again on tensors of the same shapes, such as a transformer's forward. */
@FunctionalInterface
public interface Repeated {

    /** Where the operations hold still to be looked at. */
    @FunctionalInterface
    interface Watcher {

        /** @param tensor what was computed last; lives as long as the frame that it was allocated in */
        void saw(String point, Tensor tensor);

        /**
         * Whether {@link #saw} queues sums to {@linkplain HostBuffer#tensor lasting memory} and does nothing else on the device. Then they
         * may be recorded with the operations, and are told of all that was watched before any of it is computed.
         */
        default boolean queues() {
            return false;
        }

        /** What was seen since the operations began is void: they begin again. Only where {@link #queues}. */
        default void again() {
        }
    }

    /**
     * Queues the operations. Whatever differs from one time to the next comes in through {@code inputs}; nothing may be uploaded or
     * read here.
     *
     * @param watcher to be told of what is watched, at the same places each time
     * @return the result, escaped to the caller's frame
     */
    Tensor run(List<Tensor> inputs, Watcher watcher);
}
