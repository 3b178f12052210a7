package dev.kleinscope.ops;

import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/** The shapes that operations accept. Each method throws IllegalArgumentException naming both shapes. */
public final class OpShapes {

    private OpShapes() {
    }

    public static void linear(Tensor x, Linear layer, Tensor out) {
        Tensor weight = layer.weight();
        require(weight.shape().rank() == 2, "linear", "weight must be [out, in]", "x", x, "weight", weight);
        require(x.shape().rank() >= 1 && x.dim(-1) == layer.in(), "linear", "rows of x must be as wide as those of weight",
                "x", x, "weight", weight);
        expect("linear", x.shape().withLast(layer.out()), "out", out);
        if (layer.bias() != null) {
            expect("linear", Shape.of(layer.out()), "bias", layer.bias());
        }
        apart("linear", out, x);
    }

    /** Layers of one input side by side in {@code out}. */
    public static void linear(Tensor x, List<Linear> layers, Tensor out) {
        expect("linear", x.shape().withLast(layers.stream().mapToLong(Linear::out).sum()), "out", out);
    }

    public static void download(Tensor x, MemorySegment target) {
        long bytes = x.dtype().bytes(x.shape().elements());
        require(x.shape().rank() >= 1 && target.byteSize() >= bytes, "download", "needs a buffer of " + bytes + " bytes, not of "
                + target.byteSize(), "x", x, "x", x);
    }

    /** Elementwise operations: all shapes alike. */
    public static void alike(String op, Tensor out, Tensor... inputs) {
        for (Tensor input : inputs) {
            require(input.shape().rank() >= 1 && input.shape().equals(out.shape()), op, "shapes must be alike",
                    "input", input, "out", out);
        }
        apart(op, out, inputs);
    }

    /** x [batch, tokens, hidden] with vectors [batch, hidden]. */
    public static void modulated(String op, Tensor x, Tensor vector, Tensor out) {
        require(x.shape().rank() == 3, op, "x must be [batch, tokens, hidden]", "x", x, "vector", vector);
        require(vector.shape().equals(Shape.of(x.dim(0), x.dim(2))), op, "the vector must be [batch, hidden]",
                "x", x, "vector", vector);
        alike(op, out, x);
        apart(op, out, vector);
    }

    public static void layerNormAffine(Tensor x, Tensor weight, Tensor bias, Tensor out) {
        String op = "layerNormAffine";
        alike(op, out, x);
        expect(op, Shape.of(x.dim(-1)), "weight", weight);
        expect(op, Shape.of(x.dim(-1)), "bias", bias);
    }

    public static void conv2d(Tensor x, Conv2d layer, Tensor out) {
        String op = "conv2d";
        require(x.shape().rank() == 4 && x.dim(3) == layer.in(), op, "pixels of x must have as many channels as the weight",
                "x", x, "weight", layer.weight());
        expect(op, layer.outShape(x.shape()), "out", out);
        if (layer.bias() != null) {
            expect(op, Shape.of(layer.out()), "bias", layer.bias());
        }
        apart(op, out, x);
    }

    public static void rowMoments(Tensor x, Tensor before, Tensor out) {
        String op = "rowMoments";
        require(x.shape().rank() == 3, op, "x must be [batch, tokens, hidden]", "x", x, "out", out);
        expect(op, x.shape().withLast(before == null ? 2 : 6), "out", out);
        apart(op, out, x);
        if (before != null) {
            expect(op, x.shape(), "before", before);
            apart(op, out, before);
        }
    }

    public static void channelEnergies(Tensor x, int[] bounds, Tensor out) {
        String op = "channelEnergies";
        require(x.shape().rank() == 3, op, "x must be [batch, tokens, hidden]", "x", x, "out", out);
        for (int i = 0; i < bounds.length; i += 2) {
            require(i + 1 < bounds.length && bounds[i] >= 0 && bounds[i] <= bounds[i + 1] && bounds[i + 1] <= x.dim(1), op,
                    "ranges of tokens must be pairs of bounds within x, found " + Arrays.toString(bounds), "x", x, "out", out);
        }
        expect(op, Shape.of(x.dim(0), bounds.length / 2, x.dim(2)), "out", out);
        apart(op, out, x);
    }

    public static void groupMoments(Tensor x, Tensor out) {
        groups("groupMoments", x, "out", out);
        require(out.dim(0) == x.dim(0), "groupMoments", "batches differ", "x", x, "out", out);
        apart("groupMoments", out, x);
    }

    public static void groupNorm(Tensor x, Tensor moments, Tensor weight, Tensor bias, Tensor out) {
        String op = "groupNorm";
        groups(op, x, "moments", moments);
        require(moments.dim(0) == x.dim(0) || moments.dim(0) == 1, op, "batches differ", "x", x, "moments", moments);
        expect(op, Shape.of(x.dim(3)), "weight", weight);
        expect(op, Shape.of(x.dim(3)), "bias", bias);
        alike(op, out, x);
        apart(op, out, moments);
    }

    private static void groups(String op, Tensor x, String role, Tensor moments) {
        require(x.shape().rank() == 4 && x.shape().elements() > 0 && moments.shape().rank() == 3 && moments.dim(1) == 2
                && moments.dim(2) > 0 && x.dim(3) % moments.dim(2) == 0, op,
                "x must be [batch, height, width, channels] and " + role + " [batch, 2, groups] with groups dividing channels",
                "x", x, role, moments);
    }

    public static void upsampleNearest2x(Tensor x, Tensor out) {
        String op = "upsampleNearest2x";
        require(x.shape().rank() == 4, op, "x must be [batch, height, width, channels]", "x", x, "out", out);
        expect(op, Shape.of(x.dim(0), 2 * x.dim(1), 2 * x.dim(2), x.dim(3)), "out", out);
        apart(op, out, x);
    }

    /** A kernel as checkpoints store it. */
    public static void convWeight(Tensor mapped) {
        if (mapped.shape().rank() != 4) {
            throw new IllegalArgumentException("convWeight: expected [out, in, height, width], found " + mapped.name()
                    + mapped.shape());
        }
    }

    public static void rmsNorm(String op, Tensor x, Tensor weight, Tensor out) {
        require(weight.shape().rank() == 1 && weight.dim(0) > 0 && x.shape().rank() >= 1
                && x.dim(-1) % weight.dim(0) == 0, op, "rows of x must be whole groups of the weight's size",
                "x", x, "weight", weight);
        alike(op, out, x);
    }

    public static void rmsNormRope(Tensor x, Tensor weight, Rope rope, Tensor out) {
        rmsNorm("rmsNormRope", x, weight, out);
        require(x.shape().rank() == 3 && weight.dim(0) % 2 == 0, "rmsNormRope",
                "x must be [batch, tokens, heads * headDim] with an even headDim", "x", x, "weight", weight);
        Shape angles = Shape.of(x.dim(1), weight.dim(0) / 2);
        expect("rmsNormRope", angles, "cos", rope.cos());
        expect("rmsNormRope", angles, "sin", rope.sin());
    }

    /** Queries and keys at once: batch and tokens alike. */
    public static void rmsNormRope(Tensor q, Tensor k, Tensor normQ, Tensor normK, Rope rope, Tensor qOut, Tensor kOut) {
        rmsNormRope(q, normQ, rope, qOut);
        rmsNormRope(k, normK, rope, kOut);
        require(q.dim(0) == k.dim(0), "rmsNormRope", "batches differ", "q", q, "k", k);
    }

    public static void rotate(Tensor x, Rope rope, Tensor out) {
        String op = "rotate";
        alike(op, out, x);
        require(x.shape().rank() == 3 && rope.cos().shape().rank() == 2 && rope.cos().dim(1) > 0 && x.dim(2) % (2 * rope.cos().dim(1)) == 0,
                op, "rows of x [batch, tokens, heads * headDim] must be whole heads of two channels an angle", "x", x, "cos", rope.cos());
        expect(op, Shape.of(x.dim(1), rope.cos().dim(1)), "cos", rope.cos());
        expect(op, rope.cos().shape(), "sin", rope.sin());
    }

    public static void addProjections(Tensor x, Tensor from, Tensor to, Tensor out) {
        String op = "addProjections";
        alike(op, out, x);
        require(from.shape().rank() == 2 && from.dim(1) == x.dim(-1) && from.dim(0) >= 1 && from.dim(0) <= Ops.MOST_PROJECTIONS, op,
                "from must be [n, hidden] with n from 1 to " + Ops.MOST_PROJECTIONS, "x", x, "from", from);
        expect(op, from.shape(), "to", to);
        apart(op, out, from, to);
    }

    public static void attention(Tensor q, Tensor k, Tensor v, long heads, long kvHeads, AttentionMask mask, Tensor out) {
        String op = "attention";
        require(q.shape().rank() == 3 && k.shape().rank() == 3, op, "q and k must be [batch, tokens, heads * headDim]",
                "q", q, "k", k);
        require(heads > 0 && kvHeads > 0 && heads % kvHeads == 0 && q.dim(2) % heads == 0,
                op, heads + " heads and " + kvHeads + " key heads do not divide the rows", "q", q, "k", k);
        require(k.dim(0) == q.dim(0) && k.dim(2) == q.dim(2) / heads * kvHeads, op,
                "batch or head size differ with " + heads + " heads and " + kvHeads + " key heads", "q", q, "k", k);
        require(v.shape().equals(k.shape()), op, "shapes must be alike", "k", k, "v", v);
        alike(op, out, q);
        apart(op, out, k, v);
        if (mask.validKeys() != null && mask.validKeys().length != q.dim(0)) {
            throw new IllegalArgumentException(op + ": the mask holds " + mask.validKeys().length
                    + " counts of valid keys, q " + q.shape() + " has " + q.dim(0) + " batch elements");
        }
    }

    /** @throws IllegalArgumentException also for a group that {@code out} has no column for */
    public static void attentionShares(Tensor q, Tensor k, long heads, int[] groups, Tensor out) {
        String op = "attentionShares";
        require(q.shape().rank() == 3 && k.shape().rank() == 3 && q.dim(0) == k.dim(0) && q.dim(2) == k.dim(2), op,
                "q and k must be [batch, tokens, heads * headDim]", "q", q, "k", k);
        require(heads > 0 && q.dim(2) % heads == 0, op, heads + " heads do not divide the rows", "q", q, "k", k);
        require(k.dim(1) > 0 && groups.length == k.dim(1), op, "there are groups of " + groups.length + " keys", "q", q, "k", k);
        require(out.shape().rank() == 3 && out.dim(2) > 1, op, "out must be [batch, heads * queries, 1 + groups]", "q", q, "out", out);
        expect(op, Shape.of(q.dim(0), heads * q.dim(1), out.dim(2)), "out", out);
        for (int group : groups) {
            require(group >= 0 && group < out.dim(2) - 1, op, "group " + group + " has no column", "k", k, "out", out);
        }
        apart(op, out, q, k);
    }

    /** @throws IllegalArgumentException also for an id outside the table */
    public static void embedding(Tensor table, int[] ids, Tensor out) {
        require(table.shape().rank() == 2 && out.shape().rank() >= 1 && table.dim(1) == out.dim(-1)
                        && out.rows() == ids.length, "embedding",
                "out must hold a row of the table for each of " + ids.length + " ids", "table", table, "out", out);
        for (int id : ids) {
            if (id < 0 || id >= table.dim(0)) {
                throw new IllegalArgumentException("embedding: id " + id + " is outside the table " + table.name()
                        + table.shape());
            }
        }
    }

    private static void expect(String op, Shape expected, String role, Tensor found) {
        if (!found.shape().equals(expected)) {
            throw new IllegalArgumentException(op + ": " + role + " " + found.name() + ": expected " + expected
                    + ", found " + found.shape());
        }
    }

    private static void require(boolean holds, String op, String rule, String aRole, Tensor a, String bRole, Tensor b) {
        if (!holds) {
            throw new IllegalArgumentException(op + ": " + rule + "; " + aRole + " " + a.name() + a.shape() + ", "
                    + bRole + " " + b.name() + b.shape());
        }
    }

    /** Catches the overlap that is easily written: an operation onto its own input. */
    private static void apart(String op, Tensor out, Tensor... inputs) {
        for (Tensor input : inputs) {
            if (input.storage() == out.storage() && input.offset() == out.offset() && out.shape().elements() > 0) {
                throw new IllegalArgumentException(op + ": out " + out.name() + out.shape() + " overlaps its input "
                        + input.name() + input.shape());
            }
        }
    }
}
