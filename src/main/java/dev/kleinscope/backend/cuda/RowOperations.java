package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.Gelu;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.Tensor;

/** Launches {@code kernels/rows.cu}; shapes are the caller's to check. */
final class RowOperations {

    private static final int MOST_THREADS = 256;
    private static final int WARP = 32;
    private static final int FEW_ROWS_WARPS = 8;
    private static final long COLUMNS_A_THREAD = 4;
    private static final long MOST_ROW_BLOCKS = 64;

    private static final int COPY = 0;
    private static final int SILU = 1;
    private static final int SWIGLU = 2;
    private static final int ADD_SCALED = 3;
    private static final int LERP = 4;
    private static final int GELU_ERF = 5;
    private static final int GELU_QUICK = 6;
    private static final int GELU_TANH = 7;
    private static final int GATED_RESIDUAL = 8;
    private static final int ADD_BIAS = 9;

    private static final int PLAIN = 0;
    private static final int MODULATE = 1;
    private static final int AFFINE = 2;

    private static final int UNROTATED = 0;
    private static final int ADJACENT = 1;
    private static final int HALVES = 2;

    private final Kernels kernels;

    RowOperations(Kernels kernels) {
        this.kernels = kernels;
    }

    /** Whole warps for a row of this width. */
    static int threads(long width) {
        return Math.clamp(Math.ceilDiv(width, WARP) * WARP, WARP, MOST_THREADS);
    }

    void copy(Tensor x, Tensor out) {
        elementwise(COPY, x, null, null, 0, out);
    }

    void silu(Tensor x, Tensor out) {
        elementwise(SILU, x, null, null, 0, out);
    }

    void swiglu(Tensor a, Tensor b, Tensor out) {
        elementwise(SWIGLU, a, b, null, 0, out);
    }

    void addScaled(Tensor x, Tensor y, double scale, Tensor out) {
        elementwise(ADD_SCALED, x, y, null, scale, out);
    }

    void lerp(Tensor a, Tensor b, double weight, Tensor out) {
        elementwise(LERP, a, b, null, weight, out);
    }

    void gelu(Tensor x, Gelu kind, Tensor out) {
        elementwise(switch (kind) {
            case ERF -> GELU_ERF;
            case QUICK -> GELU_QUICK;
            case TANH -> GELU_TANH;
        }, x, null, null, 0, out);
    }

    void gatedResidual(Tensor x, Tensor gate, Tensor y, Tensor out) {
        elementwise(GATED_RESIDUAL, x, y, gate, 0, out);
    }

    void addBias(Tensor bias, Tensor out) {
        elementwise(ADD_BIAS, out, null, bias, 0, out);
    }

    private void elementwise(int op, Tensor a, Tensor b, Tensor gate, double scale, Tensor out) {
        long width = out.dim(-1);
        int threads = threads(width);
        long across = Math.clamp(Math.ceilDiv(width, threads * COLUMNS_A_THREAD), 1, MOST_ROW_BLOCKS);
        kernels.launch("rows.elementwise", out.rows(), across, 1, threads, View.of(a), b == null ? View.ABSENT : View.of(b),
                gate == null ? View.ABSENT : View.of(gate), View.of(out), tokens(out), (int) width, op, (float) scale);
    }

    void layerNorm(Tensor x, double eps, Tensor out) {
        layerNorm(PLAIN, x, View.ABSENT, View.ABSENT, eps, out);
    }

    void layerNormAffine(Tensor x, Tensor weight, Tensor bias, double eps, Tensor out) {
        layerNorm(AFFINE, x, View.of(weight), View.of(bias), eps, out);
    }

    void layerNormModulate(Tensor x, Tensor scale, Tensor shift, double eps, Tensor out) {
        layerNorm(MODULATE, x, View.of(scale), View.of(shift), eps, out);
    }

    private void layerNorm(int kind, Tensor x, View scale, View shift, double eps, Tensor out) {
        kernels.launch("rows.layer_norm", x.rows(), 1, 1, threads(x.dim(-1)), View.of(x), scale, shift, View.of(out), tokens(x),
                (int) x.dim(-1), kind, (float) eps);
    }

    void rmsNorm(Tensor x, Tensor weight, double eps, Tensor out) {
        rmsNorm(UNROTATED, x, weight, eps, View.ABSENT, View.ABSENT, out);
    }

    void rmsNormRope(Tensor x, Tensor weight, double eps, Rope rope, Tensor out) {
        rmsNorm(rope.pairing() == Rope.Pairing.ADJACENT ? ADJACENT : HALVES, x, weight, eps, View.of(rope.cos()),
                View.of(rope.sin()), out);
    }

    private void rmsNorm(int pairing, Tensor x, Tensor weight, double eps, View cos, View sin, Tensor out) {
        long size = weight.dim(0);
        kernels.launch("rows.rms_norm", x.rows(), x.dim(-1) / size, 1, threads(size), View.of(x), View.of(weight), cos, sin,
                View.of(out), tokens(x), (int) size, pairing, (float) eps);
    }

    /** @param ids device address of a row's index for each row of out */
    void embedding(Tensor table, long ids, Tensor out) {
        kernels.launch("rows.embedding", out.rows(), 1, 1, threads(out.dim(-1)), View.of(table), ids, View.of(out),
                (int) out.dim(-1));
    }

    /** {@code x weight^T} for vectors, in f32 whatever the weight's type. */
    void fewRows(Tensor x, Tensor weight, Tensor out) {
        kernels.launch("rows.few_rows", Math.ceilDiv(out.dim(-1), FEW_ROWS_WARPS), Math.min(x.rows(), MOST_ROW_BLOCKS), 1,
                FEW_ROWS_WARPS * WARP, View.of(x), View.of(weight), View.of(out), (int) x.rows(), (int) x.dim(-1),
                (int) out.dim(-1));
    }

    private static long tokens(Tensor x) {
        return x.shape().rank() > 1 ? Math.max(1, x.dim(-2)) : 1;
    }
}
