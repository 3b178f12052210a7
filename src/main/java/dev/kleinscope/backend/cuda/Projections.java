package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.Tensor;

/** Launches {@code kernels/projections.cu}; shapes are the caller's to check. */
final class Projections {

    private final Kernels kernels;

    Projections(Kernels kernels) {
        this.kernels = kernels;
    }

    void rotate(Tensor x, Rope rope, Tensor out) {
        kernels.launch("projections.rotate_pairs", x.rows(), 1, 1, RowOperations.threads(x.dim(-1) / 2), View.of(x), View.of(rope.cos()),
                View.of(rope.sin()), View.of(out), RowOperations.tokens(x), (int) x.dim(-1), (int) rope.cos().dim(1),
                rope.pairing() == Rope.Pairing.ADJACENT ? 1 : 0);
    }

    void add(Tensor x, Tensor from, Tensor to, Tensor out) {
        kernels.launch("projections.add_projections", x.rows(), 1, 1, RowOperations.threads(x.dim(-1)), View.of(x), View.of(from),
                View.of(to), View.of(out), (int) x.dim(-1), (int) from.dim(0));
    }
}
