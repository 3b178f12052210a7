package dev.kleinscope;

import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.Tensor;

/** Sees the activations of the points that a run was told to watch, as they are computed; see {@link Run#watch(String, Watcher)}. */
@FunctionalInterface
public interface Watcher {

    /**
     * Called once a forward for each watched point, in the thread that runs. It must not run the model itself. An exception ends the run
     * and reaches whoever started it.
     *
     * @param step denoising step, from 0
     * @param pass with the prompt, or without it
     * @param point canonical name: diffusers' module path
     * @param tensor the activation where it was computed. It is overwritten soon after; keep {@code tensor.toHost()}, not the tensor
     */
    void saw(int step, Pass pass, String point, Tensor tensor);
}
