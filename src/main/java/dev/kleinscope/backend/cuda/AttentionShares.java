package dev.kleinscope.backend.cuda;

import dev.kleinscope.tensor.Tensor;

/** Launches {@code kernels/attention_shares.cu}; shapes are the caller's to check. */
final class AttentionShares {

    private static final int TILE = 64;
    private static final int THREADS = 256;

    /** Groups that a launch sums. */
    private static final int MOST_GROUPS = 64;

    private final Kernels kernels;

    AttentionShares(Kernels kernels) {
        this.kernels = kernels;
    }

    /** @param groups device address of the group of each key */
    void of(Tensor q, Tensor k, long heads, long groups, Tensor out) {
        int headDim = Math.toIntExact(q.dim(2) / heads);
        int count = Math.toIntExact(out.dim(2) - 1);
        for (int first = 0; first < count; first += MOST_GROUPS) {
            kernels.launch("attention_shares.attention_shares", Math.ceilDiv(q.dim(1), TILE), heads, q.dim(0), THREADS, View.of(q),
                    View.of(k), View.of(out), groups, Math.toIntExact(q.dim(1)), Math.toIntExact(k.dim(1)), headDim, first,
                    Math.min(MOST_GROUPS, count - first), (float) (1 / Math.sqrt(headDim)));
        }
    }
}
