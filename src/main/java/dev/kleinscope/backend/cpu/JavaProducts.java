package dev.kleinscope.backend.cpu;

import dev.kleinscope.ops.Linear;
import dev.kleinscope.tensor.Tensor;

/** Products by our own kernels. */
record JavaProducts(Workers workers) implements Products {

    @Override
    public void linear(Tensor x, Linear layer, Tensor out) {
        if (SmallLinear.suits(layer)) {
            SmallLinear.run(workers, x, layer, out);
        } else {
            LinearKernel.run(workers, x, layer, out);
        }
    }

    @Override
    public String describe() {
        return "";
    }

    @Override
    public void close() {
        // the workers are the backend's
    }
}
