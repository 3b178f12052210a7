package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.Gelu;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import java.util.Arrays;

/** Launches {@code kernels/rows.cu} and {@link Elementwise}; shapes are the caller's to check. */
final class RowOperations {

    private static final int MOST_THREADS = 256;
    private static final int WARP = 32;
    private static final int FEW_ROWS_WARPS = 8;
    private static final long MOST_ROW_BLOCKS = 64;
    private static final long MOST_GRID = 65535;

    private static final int PLAIN = 0;
    private static final int MODULATE = 1;
    private static final int AFFINE = 2;
    private static final int RMS = 3;

    private static final int UNROTATED = 0;
    private static final int ADJACENT = 1;
    private static final int HALVES = 2;

    /** Vectors of a row a thread may hold, and the threads that share a row. */
    private static final long MOST_VECTORS = 4;
    private static final long MOST_NORM_THREADS = 512;

    private static final int HEAD_THREADS = 128;

    private final Cuda cuda;
    private final Kernels kernels;
    private final Rounding rounding;
    private final Elementwise elementwise;
    private Residual waiting;

    /** A gated residual that the LayerNorm of its result may take along: one pass over memory instead of two. */
    private record Residual(Rows x, Rows y, Rows gate, Rows out, Tensor result) {
    }

    RowOperations(Cuda cuda, Kernels kernels, Rounding rounding) {
        this.cuda = cuda;
        this.kernels = kernels;
        this.rounding = rounding;
        elementwise = new Elementwise(kernels, rounding);
    }

    /** Whole warps for a row of this width. */
    static int threads(long width) {
        return Math.clamp(Math.ceilDiv(width, WARP) * WARP, WARP, MOST_THREADS);
    }

    /** Rows that share an element of the batch. */
    static long tokens(Tensor x) {
        return x.shape().rank() > 1 ? Math.max(1, x.dim(-2)) : 1;
    }

    void copy(Tensor x, Tensor out) {
        elementwise.launch(Elementwise.Op.COPY, x, null, null, 0, out);
    }

    void silu(Tensor x, Tensor out) {
        elementwise.launch(Elementwise.Op.SILU, x, null, null, 0, out);
    }

    void swiglu(Tensor a, Tensor b, Tensor out) {
        elementwise.launch(Elementwise.Op.SWIGLU, a, b, null, 0, out);
    }

    void addScaled(Tensor x, Tensor y, double scale, Tensor out) {
        elementwise.launch(Elementwise.Op.ADD_SCALED, x, y, null, scale, out);
    }

    void lerp(Tensor a, Tensor b, double weight, Tensor out) {
        elementwise.launch(Elementwise.Op.LERP, a, b, null, weight, out);
    }

    void gelu(Tensor x, Gelu kind, Tensor out) {
        elementwise.launch(switch (kind) {
            case ERF -> Elementwise.Op.GELU_ERF;
            case QUICK -> Elementwise.Op.GELU_QUICK;
            case TANH -> Elementwise.Op.GELU_TANH;
        }, x, null, null, 0, out);
    }

    /** Queued with what comes next. */
    void gatedResidual(Tensor x, Tensor gate, Tensor y, Tensor out) {
        // tensors may end before it is queued, so all that it needs of them is taken now
        Kernels.Launch alone = elementwise.prepare(Elementwise.Op.GATED_RESIDUAL, x, y, gate, 0, out);
        Residual residual = alone.name().equals("elementwise.gated_residual8_bbb")
                ? new Residual(Rows.of(x), Rows.of(y), Rows.vectors(gate), Rows.of(out), out) : null;
        cuda.defer(() -> {
            waiting = null;
            kernels.launch(alone);
        });
        waiting = residual;
    }

    void addBias(Tensor bias, Tensor out) {
        elementwise.launch(Elementwise.Op.ADD_BIAS, out, null, bias, 0, out);
    }

    void layerNorm(Tensor x, double eps, Tensor out) {
        layerNorm(PLAIN, x, null, null, eps, out);
    }

    void layerNormAffine(Tensor x, Tensor weight, Tensor bias, double eps, Tensor out) {
        layerNorm(AFFINE, x, weight, bias, eps, out);
    }

    void layerNormModulate(Tensor x, Tensor scale, Tensor shift, double eps, Tensor out) {
        layerNorm(MODULATE, x, scale, shift, eps, out);
    }

    private void layerNorm(int kind, Tensor x, Tensor scale, Tensor shift, double eps, Tensor out) {
        if (!fastNorm(kind, x, scale, shift, eps, out)) {
            kernels.launch("rows.layer_norm", x.rows(), 1, 1, threads(x.dim(-1)), View.of(x), scale == null ? View.ABSENT : View.of(scale),
                    shift == null ? View.ABSENT : View.of(shift), View.of(out), tokens(x), (int) x.dim(-1), kind, (float) eps,
                    rounding.steps());
        }
    }

    /** A block for each row, which its threads hold; false where that does not fit. The same bits whatever the alignment. */
    private boolean fastNorm(int kind, Tensor x, Tensor scale, Tensor shift, double eps, Tensor out) {
        long vectors = x.dim(-1) / Rows.VECTOR;
        long tokens = tokens(x);
        long batch = x.rows() / tokens;
        if (x.dim(-1) % Rows.VECTOR != 0 || vectors > MOST_VECTORS * MOST_NORM_THREADS || batch > MOST_GRID
                || x.dtype() == DType.BF16 && out.dtype() == DType.F32 || !floats(scale) || !floats(shift)) {
            return false;
        }
        Rows from = Rows.of(x);
        Rows to = Rows.of(out);
        if (from == null || to == null) {
            return false;
        }
        Rows scales = scale == null ? Rows.ABSENT : Rows.vectors(scale);
        Rows shifts = shift == null ? Rows.ABSENT : Rows.vectors(shift);
        boolean aligned = from.aligned(x) && to.aligned(out) && (scale == null || scales.aligned(scale))
                && (shift == null || shifts.aligned(shift));
        int held = vectors <= WARP ? 1 : vectors <= 2 * MOST_NORM_THREADS ? 2 : (int) MOST_VECTORS;
        int threads = (int) Math.ceilDiv(vectors, held * WARP) * WARP;
        Residual residual = waiting;
        if (kind == MODULATE && aligned && out.dtype() == DType.BF16 && residual != null && cuda.deferring() && sameView(residual.result, x)
                && undisturbed(residual.x, to, x) && undisturbed(residual.y, to, x)) {
            waiting = null;
            cuda.takeOver(() -> kernels.launchEarly("rows.residual_norm8_" + held, tokens, batch, 1, threads, residual.x, residual.y,
                    residual.gate, residual.out, scales, shifts, to, (int) vectors, (float) eps, rounding.steps()));
            return true;
        }
        kernels.launchEarly("rows.norm8_" + letter(x) + letter(out) + "_" + held, tokens, batch, 1, threads, from, scales, shifts, to,
                (int) vectors, kind, (float) eps, rounding.steps(), aligned ? 1 : 0);
        return true;
    }

    /** What ended since may lie where the result goes: then each row must be read before the same row is written, or be elsewhere. */
    static boolean undisturbed(Rows read, Rows written, Tensor like) {
        return read.equals(written) || read.end(like) <= written.address() || written.end(like) <= read.address();
    }

    private static boolean sameView(Tensor a, Tensor b) {
        return a.storage() == b.storage() && a.offset() == b.offset() && a.shape().equals(b.shape())
                && Arrays.equals(a.strides(), b.strides());
    }

    private static boolean floats(Tensor vector) {
        return vector == null || vector.dtype() == DType.F32;
    }

    private static char letter(Tensor tensor) {
        return tensor.dtype() == DType.F32 ? 'f' : 'b';
    }

    void rmsNorm(Tensor x, Tensor weight, double eps, Tensor out) {
        if (x.dim(-1) == weight.dim(0) && fastNorm(RMS, x, weight, null, eps, out) || fastHeads(x, null, weight, null, eps, null, out, null)) {
            return;
        }
        rmsNorm(UNROTATED, x, weight, eps, View.ABSENT, View.ABSENT, out);
    }

    /** Normalises and rotates the heads of q and, unless it is null, of k. */
    void rmsNormRope(Tensor q, Tensor k, Tensor normQ, Tensor normK, double eps, Rope rope, Tensor qOut, Tensor kOut) {
        if (fastHeads(q, k, normQ, normK, eps, rope, qOut, kOut)) {
            return;
        }
        int pairing = rope.pairing() == Rope.Pairing.ADJACENT ? ADJACENT : HALVES;
        rmsNorm(pairing, q, normQ, eps, View.of(rope.cos()), View.of(rope.sin()), qOut);
        if (k != null) {
            rmsNorm(pairing, k, normK, eps, View.of(rope.cos()), View.of(rope.sin()), kOut);
        }
    }

    private void rmsNorm(int pairing, Tensor x, Tensor weight, double eps, View cos, View sin, Tensor out) {
        long size = weight.dim(0);
        kernels.launch("rows.rms_norm", x.rows(), x.dim(-1) / size, 1, threads(size), View.of(x), View.of(weight), cos, sin,
                View.of(out), tokens(x), (int) size, pairing, (float) eps, rounding.steps());
    }

    /** Heads of a power of two channels, a vector a thread; false where that does not fit. The same bits whatever the alignment. */
    private boolean fastHeads(Tensor q, Tensor k, Tensor normQ, Tensor normK, double eps, Rope rope, Tensor qOut, Tensor kOut) {
        long lanes = normQ.dim(0) / Rows.VECTOR;
        long tokens = tokens(q);
        long batch = q.rows() / tokens;
        if (normQ.dim(0) % Rows.VECTOR != 0 || lanes > WARP || Long.bitCount(lanes) != 1 || tokens > MOST_GRID || batch > MOST_GRID
                || q.dtype() != qOut.dtype() || normQ.dtype() != DType.F32) {
            return false;
        }
        int pairing = rope == null ? UNROTATED : rope.pairing() == Rope.Pairing.ADJACENT ? ADJACENT : HALVES;
        if (pairing == HALVES && lanes < 2 || rope != null && (rope.cos().dtype() != DType.F32 || rope.sin().dtype() != DType.F32)) {
            return false;
        }
        if (k != null && (normK.dim(0) != normQ.dim(0) || k.dtype() != q.dtype() || kOut.dtype() != q.dtype()
                || normK.dtype() != DType.F32)) {
            return false;
        }
        Rows from = Rows.of(q);
        Rows to = Rows.of(qOut);
        Rows kFrom = k == null ? Rows.ABSENT : Rows.of(k);
        Rows kTo = k == null ? Rows.ABSENT : Rows.of(kOut);
        if (from == null || to == null || kFrom == null || kTo == null) {
            return false;
        }
        Rows cos = rope == null ? Rows.ABSENT : Rows.of(rope.cos());
        Rows sin = rope == null ? Rows.ABSENT : Rows.of(rope.sin());
        boolean aligned = from.aligned(q) && to.aligned(qOut) && Rows.vectors(normQ).aligned(normQ)
                && (k == null || kFrom.aligned(k) && kTo.aligned(kOut) && Rows.vectors(normK).aligned(normK))
                && (rope == null || cos.aligned(rope.cos()) && sin.aligned(rope.sin()));
        int qVectors = Math.toIntExact(q.dim(-1) / Rows.VECTOR);
        int kVectors = k == null ? 0 : Math.toIntExact(k.dim(-1) / Rows.VECTOR);
        int vectors = Math.max(qVectors, kVectors);
        int threads = Math.min(HEAD_THREADS, threads(vectors));
        kernels.launchEarly("rows.rms_heads8_" + letter(q), Math.ceilDiv(vectors, threads), tokens, batch, threads, from, kFrom,
                View.address(normQ), k == null ? View.address(normQ) : View.address(normK), cos, sin, to, kTo, qVectors, kVectors,
                (int) lanes, pairing, (float) eps, rounding.steps(), aligned ? 1 : 0);
        return true;
    }

    /** @param ids device address of a row's index for each row of out */
    void embedding(Tensor table, long ids, Tensor out) {
        kernels.launch("rows.embedding", out.rows(), 1, 1, threads(out.dim(-1)), View.of(table), ids, View.of(out),
                (int) out.dim(-1));
    }

    /** {@code x weight^T} for vectors, in f32 whatever the weight's type. */
    void fewRows(Tensor x, Tensor weight, Tensor out) {
        long blocks = Math.ceilDiv(out.dim(-1), FEW_ROWS_WARPS);
        int threads = FEW_ROWS_WARPS * WARP;
        Rows from = Rows.of(x);
        Rows matrix = Rows.of(weight);
        Rows to = Rows.of(out);
        if (x.dim(-1) % Rows.VECTOR == 0 && x.dtype() == DType.F32 && weight.dtype() == DType.BF16 && out.dtype() == DType.F32
                && from.aligned(x) && matrix.aligned(weight) && x.rows() <= MOST_GRID) {
            kernels.launchEarly("rows.few_rows8", blocks, x.rows(), 1, threads, from, matrix, to, (int) (x.dim(-1) / Rows.VECTOR),
                    (int) out.dim(-1), rounding.steps());
            return;
        }
        kernels.launch("rows.few_rows", blocks, Math.min(x.rows(), MOST_ROW_BLOCKS), 1, threads, View.of(x), View.of(weight),
                View.of(out), (int) x.rows(), (int) x.dim(-1), (int) out.dim(-1), rounding.steps());
    }
}
