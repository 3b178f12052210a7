package dev.kleinscope.probe;

import dev.kleinscope.tensor.Tensor;

/** Activations of another run, by step, pass and point. */
public interface ActivationSource {

    /**
     * An activation in memory of the host, contiguous, F32 or BF16.
     *
     * @throws InterventionException if there is none, naming it
     */
    Tensor activation(int step, Pass pass, String point);

    /** Where they come from, for people and records. */
    String describe();
}
