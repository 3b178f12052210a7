package dev.kleinscope.backend.cuda;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;

/** Launches {@code kernels/reductions.cu}; shapes are the caller's to check. */
final class Reductions {

    private static final int WARP = 32;
    private static final int MOMENT_THREADS = 128;
    private static final int CHANNEL_THREADS = 128;
    private static final int FINISH_THREADS = 256;

    /** Channels and threads of a block that takes vectors. */
    private static final int VECTOR_CHANNELS = 256;
    private static final long MOST_GRID = 65535;

    /** Rows of a slice, and ranges a kernel takes: {@code SLICE} and {@code struct Ranges}. */
    private static final int SLICE = 64;
    private static final int MOST_RANGES = 8;

    private final Kernels kernels;
    private final DeviceMemory memory;

    Reductions(Kernels kernels, DeviceMemory memory) {
        this.kernels = kernels;
        this.memory = memory;
    }

    void rowMoments(Tensor x, Tensor before, Tensor out) {
        boolean paired = before != null;
        if (vectorised(x) && x.dim(0) <= MOST_GRID && (!paired || vectorised(before) && before.dtype() == x.dtype())) {
            kernels.launch("reductions." + (paired ? "row_moments8_" : "row_energies8_") + letter(x), x.dim(1), x.dim(0), 1, MOMENT_THREADS,
                    Rows.of(x), paired ? Rows.of(before) : Rows.ABSENT, View.of(out), (int) (x.dim(2) / Rows.VECTOR));
            return;
        }
        kernels.launch("reductions.row_moments", Math.ceilDiv(x.rows(), MOMENT_THREADS / WARP), 1, 1, MOMENT_THREADS, View.of(x),
                paired ? View.of(before) : View.ABSENT, View.of(out), x.rows(), (int) x.dim(2), paired ? 1 : 0);
    }

    void channelEnergies(Tensor x, int[] bounds, Tensor out) {
        for (int first = 0; first < bounds.length / 2; first += MOST_RANGES) {
            int count = Math.min(MOST_RANGES, bounds.length / 2 - first);
            channelEnergies(x, bounds, first, count, out.slice(1, first, first + count));
        }
    }

    private void channelEnergies(Tensor x, int[] bounds, int first, int count, Tensor out) {
        int[] ranges = new int[3 * MOST_RANGES + 2];
        int slices = 0;
        for (int range = 0; range < count; range++) {
            int from = bounds[2 * (first + range)];
            int to = bounds[2 * (first + range) + 1];
            ranges[range] = from;
            ranges[MOST_RANGES + range] = to;
            ranges[2 * MOST_RANGES + range] = slices;
            slices += Math.ceilDiv(to - from, SLICE);
        }
        ranges[2 * MOST_RANGES + count] = slices;
        ranges[3 * MOST_RANGES + 1] = count;
        int width = Math.toIntExact(x.dim(2));
        DeviceMemory.Block partial = memory.take(Math.max(1, x.dim(0) * slices * width) * Float.BYTES, "the channel energies of " + x.shape());
        if (vectorised(x)) {
            kernels.launch("reductions.channel_slices8_" + letter(x), Math.ceilDiv(width, VECTOR_CHANNELS), slices, x.dim(0),
                    VECTOR_CHANNELS, Rows.of(x), ranges, partial.address(), width / Rows.VECTOR);
        } else {
            kernels.launch("reductions.channel_slices", Math.ceilDiv(width, CHANNEL_THREADS), slices, x.dim(0), CHANNEL_THREADS,
                    View.of(x), ranges, partial.address(), width);
        }
        kernels.launch("reductions.channel_finish", Math.ceilDiv(width, WARP), count, x.dim(0), FINISH_THREADS,
                partial.address(), ranges, View.of(out), slices, width);
        memory.give(partial);
    }

    private static boolean vectorised(Tensor x) {
        Rows rows = Rows.of(x);
        return x.dim(-1) % Rows.VECTOR == 0 && (x.dtype() == DType.F32 || x.dtype() == DType.BF16) && rows != null && rows.aligned(x);
    }

    private static char letter(Tensor tensor) {
        return tensor.dtype() == DType.F32 ? 'f' : 'b';
    }
}
