package dev.kleinscope.backend.cuda;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import java.util.Set;

/** Launches {@code kernels/elementwise.cu}; shapes are the caller's to check. */
final class Elementwise {

    /** Operations, numbered as the kernels number them. */
    enum Op {
        COPY(1), SILU(1), SWIGLU(2), ADD_SCALED(2), LERP(2), GELU_ERF(1), GELU_QUICK(1), GELU_TANH(1), GATED_RESIDUAL(2), ADD_BIAS(1);

        private final int inputs;

        Op(int inputs) {
            this.inputs = inputs;
        }
    }

    private static final int MOST_THREADS = 256;
    private static final int WARP = 32;
    private static final long COLUMNS_A_THREAD = 4;
    private static final long MOST_ROW_BLOCKS = 64;
    private static final long MOST_GRID = 65535;

    /** Kernels for known types: f is f32, b bf16; inputs, then the result. */
    private static final Set<String> FAST = Set.of("copy8_ff", "copy8_fb", "copy8_bf", "copy8_bb", "silu8_ff", "silu8_bb",
            "swiglu8_fff", "swiglu8_bbb", "add_scaled8_fff", "add_scaled8_fbf", "add_scaled8_bbb", "gated_residual8_fff",
            "gated_residual8_fbf", "gated_residual8_bbb", "add_bias8_ff", "add_bias8_bb");

    private final Kernels kernels;
    private final Rounding rounding;

    Elementwise(Kernels kernels, Rounding rounding) {
        this.kernels = kernels;
        this.rounding = rounding;
    }

    /**
     * @param b second input, or null
     * @param gate f32 [batch, width] of GATED_RESIDUAL, [width] of ADD_BIAS, else null
     */
    void launch(Op op, Tensor a, Tensor b, Tensor gate, double scale, Tensor out) {
        kernels.launch(prepare(op, a, b, gate, scale, out));
    }

    /** What {@link #launch} launches. */
    Kernels.Launch prepare(Op op, Tensor a, Tensor b, Tensor gate, double scale, Tensor out) {
        Kernels.Launch fast = fast(op, a, b, gate, scale, out);
        return fast == null ? any(op, a, b, gate, scale, out) : fast;
    }

    private Kernels.Launch any(Op op, Tensor a, Tensor b, Tensor gate, double scale, Tensor out) {
        long width = out.dim(-1);
        int threads = RowOperations.threads(width);
        long across = Math.clamp(Math.ceilDiv(width, threads * COLUMNS_A_THREAD), 1, MOST_ROW_BLOCKS);
        return new Kernels.Launch("elementwise.elementwise", out.rows(), across, 1, threads, View.of(a), b == null ? View.ABSENT : View.of(b),
                gate == null ? View.ABSENT : View.of(gate), View.of(out), RowOperations.tokens(out), (int) width, op.ordinal(),
                (float) scale, rounding.steps());
    }

    /** Null where no fast kernel fits. */
    private Kernels.Launch fast(Op op, Tensor a, Tensor b, Tensor gate, double scale, Tensor out) {
        String kernel = op.name().toLowerCase(java.util.Locale.ROOT) + "8_" + letter(a) + (op.inputs == 2 ? letter(b) : "") + letter(out);
        if (!FAST.contains(kernel) || out.dim(-1) % Rows.VECTOR != 0 || gate != null && gate.dtype() != DType.F32) {
            return null;
        }
        Rows first = Rows.of(a);
        Rows second = b == null ? Rows.ABSENT : Rows.of(b);
        Rows to = Rows.of(out);
        Rows gates = gate == null ? Rows.ABSENT : Rows.vectors(gate);
        if (first == null || second == null || to == null || !first.aligned(a) || b != null && !second.aligned(b) || !to.aligned(out)
                || gate != null && !gates.aligned(gate)) {
            return null;
        }
        long vectors = out.dim(-1) / Rows.VECTOR;
        int period = (int) vectors;
        long tokens = RowOperations.tokens(out);
        long batch = out.rows() / tokens;
        if (op != Op.GATED_RESIDUAL && a.contiguous() && (b == null || b.contiguous()) && out.contiguous()) {
            vectors *= out.rows();
            tokens = 1;
            batch = 1;
        }
        if (tokens > MOST_GRID || batch > MOST_GRID || vectors > Integer.MAX_VALUE) {
            return null;
        }
        int threads = (int) Math.min(MOST_THREADS, Math.ceilDiv(vectors, WARP) * WARP);
        return new Kernels.Launch("elementwise." + kernel, Math.ceilDiv(vectors, threads), tokens, batch, threads, first, second, gates,
                to, vectors, period, (float) scale, rounding.steps());
    }

    private static char letter(Tensor tensor) {
        return switch (tensor.dtype()) {
            case F32 -> 'f';
            case BF16 -> 'b';
            default -> '?';
        };
    }
}
