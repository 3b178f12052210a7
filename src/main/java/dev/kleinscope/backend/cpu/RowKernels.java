package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import dev.kleinscope.ops.Gelu;
import dev.kleinscope.ops.HostRows;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;

/**
 * Operations on single rows. Sums run over four vectors side by side in f32, then over lanes in a fixed order.
 *
 * <p>What does not fill a vector is computed in one anyway, under a mask, so that a value does not depend on its place.
 */
final class RowKernels {

    private static final VectorShuffle<Float> SWAP_NEIGHBOURS = VectorShuffle.fromOp(FLOATS, lane -> lane ^ 1);
    private static final float QUICK_SLOPE = 1.702f;
    private static final int LANE_SLOT = 0;
    private static final int COS_SLOT = 1;
    private static final int SIN_SLOT = 2;
    private static final int ROW_SLOT = 3;

    private RowKernels() {
    }

    /** A row of f32 values. */
    private record Row(MemorySegment segment, long bytes, int width) {

        static Row of(Tensor tensor, long row) {
            return new Row(HostRows.segment(tensor), tensor.rowOffset(row) * Float.BYTES,
                    Math.toIntExact(tensor.dim(-1)));
        }
    }

    /** {@code scale} and {@code shift} [batch, hidden], or both null. */
    static void layerNorm(Tensor x, Tensor scale, Tensor shift, double eps, Tensor out, long row, Scratch scratch) {
        Row in = Row.of(x, row);
        Row result = Row.of(out, row);
        float[] lanes = scratch.floats(LANE_SLOT, COUNT);
        float mean = sum(in, lanes) / in.width;
        float factor = (float) (1 / Math.sqrt(squares(in.segment, in.bytes, in.width, mean, lanes) / in.width + eps));
        if (scale == null) {
            normalize(in, mean, factor, result);
        } else {
            modulate(in, mean, factor, Row.of(scale, row / x.dim(1)), Row.of(shift, row / x.dim(1)), result);
        }
    }

    /** {@code weight} and {@code bias} hold a value for each channel. */
    static void layerNormAffine(Tensor x, float[] weight, float[] bias, double eps, Tensor out, long row, Scratch scratch) {
        Row in = Row.of(x, row);
        Row result = Row.of(out, row);
        float[] lanes = scratch.floats(LANE_SLOT, COUNT);
        float mean = sum(in, lanes) / in.width;
        float factor = (float) (1 / Math.sqrt(squares(in.segment, in.bytes, in.width, mean, lanes) / in.width + eps));
        for (int i = 0; i < in.width; i += COUNT) {
            FloatVector value = load(in, i).sub(mean).mul(factor);
            store(value.fma(load(weight, 0, i, in.width), load(bias, 0, i, in.width)), result, i);
        }
    }

    private static void normalize(Row row, float mean, float factor, Row result) {
        for (int i = 0; i < row.width; i += COUNT) {
            store(load(row, i).sub(mean).mul(factor), result, i);
        }
    }

    private static void modulate(Row row, float mean, float factor, Row scale, Row shift, Row result) {
        for (int i = 0; i < row.width; i += COUNT) {
            FloatVector value = load(row, i).sub(mean).mul(factor);
            store(load(scale, i).add(1f).fma(value, load(shift, i)), result, i);
        }
    }

    /** @param weight one value for each channel of a group */
    static void rmsNorm(Tensor x, float[] weight, double eps, Tensor out, long row, Scratch scratch) {
        Row in = Row.of(x, row);
        Row result = Row.of(out, row);
        float[] values = scratch.floats(ROW_SLOT, in.width);
        normalizeGroups(in, weight, eps, values, scratch);
        MemorySegment.copy(values, 0, result.segment, ValueLayout.JAVA_FLOAT, result.bytes, in.width);
    }

    static void rmsNormRope(Tensor x, float[] weight, double eps, Rope rope, Tensor out, long row, Scratch scratch) {
        Row in = Row.of(x, row);
        Row result = Row.of(out, row);
        float[] values = scratch.floats(ROW_SLOT, in.width);
        normalizeGroups(in, weight, eps, values, scratch);
        rotate(values, in.width, weight.length, rope, row % x.dim(1), scratch);
        MemorySegment.copy(values, 0, result.segment, ValueLayout.JAVA_FLOAT, result.bytes, in.width);
    }

    static void rotate(Tensor x, Rope rope, Tensor out, long row, Scratch scratch) {
        Row in = Row.of(x, row);
        Row result = Row.of(out, row);
        float[] values = scratch.floats(ROW_SLOT, in.width);
        MemorySegment.copy(in.segment, ValueLayout.JAVA_FLOAT, in.bytes, values, 0, in.width);
        rotate(values, in.width, 2 * Math.toIntExact(rope.cos().dim(1)), rope, row % x.dim(1), scratch);
        MemorySegment.copy(values, 0, result.segment, ValueLayout.JAVA_FLOAT, result.bytes, in.width);
    }

    private static void rotate(float[] values, int width, int headDim, Rope rope, long token, Scratch scratch) {
        float[] cos = scratch.floats(COS_SLOT, headDim);
        float[] sin = scratch.floats(SIN_SLOT, headDim);
        angles(rope, token, headDim, cos, sin);
        for (int head = 0; head < width; head += headDim) {
            if (rope.pairing() == Rope.Pairing.ADJACENT) {
                rotateNeighbours(values, head, headDim, cos, sin);
            } else {
                rotateHalves(values, head, headDim / 2, cos, sin);
            }
        }
    }

    /** For neighbours, the angle of each channel, with the sine's sign; for halves, of each pair. */
    private static void angles(Rope rope, long token, int headDim, float[] cos, float[] sin) {
        int half = headDim / 2;
        Row cosines = Row.of(rope.cos(), token);
        Row sines = Row.of(rope.sin(), token);
        MemorySegment.copy(cosines.segment, Lanes.FLOAT, cosines.bytes, cos, 0, half);
        MemorySegment.copy(sines.segment, Lanes.FLOAT, sines.bytes, sin, 0, half);
        if (rope.pairing() == Rope.Pairing.ADJACENT) {
            for (int pair = half - 1; pair >= 0; pair--) {
                float c = cos[pair];
                float s = sin[pair];
                cos[2 * pair] = c;
                cos[2 * pair + 1] = c;
                sin[2 * pair] = -s;
                sin[2 * pair + 1] = s;
            }
        }
    }

    private static void rotateNeighbours(float[] values, int head, int headDim, float[] cos, float[] sin) {
        for (int i = 0; i < headDim; i += COUNT) {
            FloatVector value = load(values, head, i, headDim);
            FloatVector turned = value.rearrange(SWAP_NEIGHBOURS).mul(load(sin, 0, i, headDim));
            store(value.fma(load(cos, 0, i, headDim), turned), values, head, i, headDim);
        }
    }

    private static void rotateHalves(float[] values, int head, int half, float[] cos, float[] sin) {
        for (int i = 0; i < half; i += COUNT) {
            FloatVector c = load(cos, 0, i, half);
            FloatVector s = load(sin, 0, i, half);
            FloatVector a = load(values, head, i, half);
            FloatVector b = load(values, head + half, i, half);
            store(a.fma(c, b.mul(s).neg()), values, head, i, half);
            store(b.fma(c, a.mul(s)), values, head + half, i, half);
        }
    }

    private static void normalizeGroups(Row row, float[] weight, double eps, float[] values, Scratch scratch) {
        int group = weight.length;
        float[] lanes = scratch.floats(LANE_SLOT, COUNT);
        for (int from = 0; from < row.width; from += group) {
            long bytes = row.bytes + (long) from * Float.BYTES;
            double meanSquare = squares(row.segment, bytes, group, 0f, lanes) / group;
            float factor = (float) (1 / Math.sqrt(meanSquare + eps));
            for (int i = 0; i < group; i += COUNT) {
                FloatVector value = i + COUNT <= group
                        ? Lanes.load(row.segment, bytes + (long) i * Float.BYTES)
                        : Lanes.load(row.segment, bytes + (long) i * Float.BYTES, FLOATS.indexInRange(i, group));
                store(value.mul(factor).mul(load(weight, 0, i, group)), values, from, i, group);
            }
        }
    }

    /** {@code x + gate * y}, gate [batch, hidden]. */
    static void gatedResidual(Tensor x, Tensor gate, Tensor y, Tensor out, long row) {
        Row base = Row.of(x, row);
        Row gates = Row.of(gate, row / x.dim(1));
        Row update = Row.of(y, row);
        Row result = Row.of(out, row);
        for (int i = 0; i < base.width; i += COUNT) {
            store(load(gates, i).fma(load(update, i), load(base, i)), result, i);
        }
    }

    static void gelu(Tensor x, Gelu kind, Tensor out, long row) {
        Row in = Row.of(x, row);
        Row result = Row.of(out, row);
        for (int i = 0; i < in.width; i += COUNT) {
            FloatVector value = load(in, i);
            FloatVector activated = switch (kind) {
                case ERF -> Lanes.gelu(value);
                case QUICK -> Lanes.silu(value.mul(QUICK_SLOPE)).mul(1 / QUICK_SLOPE);
                case TANH -> Lanes.tanhGelu(value);
            };
            store(activated, result, i);
        }
    }

    static void silu(Tensor x, Tensor out, long row) {
        Row in = Row.of(x, row);
        Row result = Row.of(out, row);
        for (int i = 0; i < in.width; i += COUNT) {
            store(Lanes.silu(load(in, i)), result, i);
        }
    }

    static void swiglu(Tensor a, Tensor b, Tensor out, long row) {
        Row left = Row.of(a, row);
        Row right = Row.of(b, row);
        Row result = Row.of(out, row);
        for (int i = 0; i < left.width; i += COUNT) {
            store(Lanes.silu(load(left, i)).mul(load(right, i)), result, i);
        }
    }

    static void addScaled(Tensor x, Tensor y, float scale, Tensor out, long row) {
        Row left = Row.of(x, row);
        Row right = Row.of(y, row);
        Row result = Row.of(out, row);
        FloatVector factor = Lanes.broadcast(scale);
        for (int i = 0; i < left.width; i += COUNT) {
            store(load(right, i).fma(factor, load(left, i)), result, i);
        }
    }

    static void lerp(Tensor a, Tensor b, float weight, Tensor out, long row) {
        Row left = Row.of(a, row);
        Row right = Row.of(b, row);
        Row result = Row.of(out, row);
        FloatVector factor = Lanes.broadcast(weight);
        for (int i = 0; i < left.width; i += COUNT) {
            FloatVector start = load(left, i);
            store(load(right, i).sub(start).fma(factor, start), result, i);
        }
    }

    static void copy(Tensor x, Tensor out, long row) {
        Row in = Row.of(x, row);
        Row result = Row.of(out, row);
        MemorySegment.copy(in.segment, in.bytes, result.segment, result.bytes, (long) in.width * Float.BYTES);
    }

    private static FloatVector load(Row row, int i) {
        long at = row.bytes + (long) i * Float.BYTES;
        return i + COUNT <= row.width
                ? Lanes.load(row.segment, at)
                : Lanes.load(row.segment, at, FLOATS.indexInRange(i, row.width));
    }

    private static void store(FloatVector vector, Row row, int i) {
        long at = row.bytes + (long) i * Float.BYTES;
        if (i + COUNT <= row.width) {
            Lanes.store(vector, row.segment, at);
        } else {
            Lanes.store(vector, row.segment, at, FLOATS.indexInRange(i, row.width));
        }
    }

    /** Element {@code i} and on of the {@code width} that start at {@code from}. */
    private static FloatVector load(float[] values, int from, int i, int width) {
        return i + COUNT <= width
                ? FloatVector.fromArray(FLOATS, values, from + i)
                : FloatVector.fromArray(FLOATS, values, from + i, FLOATS.indexInRange(i, width));
    }

    private static void store(FloatVector vector, float[] values, int from, int i, int width) {
        if (i + COUNT <= width) {
            vector.intoArray(values, from + i);
        } else {
            vector.intoArray(values, from + i, FLOATS.indexInRange(i, width));
        }
    }

    private static float sum(Row row, float[] lanes) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        int i = 0;
        for (; i <= row.width - 4 * COUNT; i += 4 * COUNT) {
            long at = row.bytes + (long) i * Float.BYTES;
            s0 = s0.add(Lanes.load(row.segment, at));
            s1 = s1.add(Lanes.load(row.segment, at + COUNT * Float.BYTES));
            s2 = s2.add(Lanes.load(row.segment, at + 2 * COUNT * Float.BYTES));
            s3 = s3.add(Lanes.load(row.segment, at + 3 * COUNT * Float.BYTES));
        }
        for (; i < row.width; i += COUNT) {
            s0 = s0.add(load(row, i));
        }
        s0.add(s1).add(s2.add(s3)).intoArray(lanes, 0);
        return Lanes.sum(lanes, 0);
    }

    /** The sum of {@code (x - mean)^2}. */
    private static double squares(MemorySegment segment, long bytes, int width, float mean, float[] lanes) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        int i = 0;
        for (; i <= width - 4 * COUNT; i += 4 * COUNT) {
            long at = bytes + (long) i * Float.BYTES;
            FloatVector d = Lanes.load(segment, at).sub(mean);
            s0 = d.fma(d, s0);
            d = Lanes.load(segment, at + COUNT * Float.BYTES).sub(mean);
            s1 = d.fma(d, s1);
            d = Lanes.load(segment, at + 2 * COUNT * Float.BYTES).sub(mean);
            s2 = d.fma(d, s2);
            d = Lanes.load(segment, at + 3 * COUNT * Float.BYTES).sub(mean);
            s3 = d.fma(d, s3);
        }
        for (; i < width; i += COUNT) {
            VectorMask<Float> mask = FLOATS.indexInRange(i, width);
            long at = bytes + (long) i * Float.BYTES;
            FloatVector d = Lanes.load(segment, at, mask).sub(Lanes.broadcast(mean), mask);
            s0 = d.fma(d, s0);
        }
        s0.add(s1).add(s2.add(s3)).intoArray(lanes, 0);
        return Lanes.sum(lanes, 0);
    }
}
