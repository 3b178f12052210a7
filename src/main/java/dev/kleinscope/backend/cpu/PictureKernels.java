package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import dev.kleinscope.ops.HostRows;
import dev.kleinscope.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/** Operations on single lines of pictures [batch, height, width, channels]; vectors run along the channels. */
final class PictureKernels {

    private PictureKernels() {
    }

    private static FloatVector load(MemorySegment segment, long element, int channel, int channels) {
        long at = (element + channel) * Float.BYTES;
        return channel + COUNT <= channels ? Lanes.load(segment, at)
                : Lanes.load(segment, at, FLOATS.indexInRange(channel, channels));
    }

    private static void store(FloatVector vector, MemorySegment segment, long element, int channel, int channels) {
        long at = (element + channel) * Float.BYTES;
        if (channel + COUNT <= channels) {
            Lanes.store(vector, segment, at);
        } else {
            Lanes.store(vector, segment, at, FLOATS.indexInRange(channel, channels));
        }
    }

    /**
     * Each channel's mean over a line, and the sum of its squared distances from that mean.
     *
     * @param line of all lines of the batch
     * @param moments [lines, 2, channels], contiguous
     */
    static void lineMoments(Tensor x, Tensor moments, long line) {
        MemorySegment from = HostRows.segment(x);
        MemorySegment to = HostRows.segment(moments);
        int channels = Math.toIntExact(x.dim(3));
        int width = Math.toIntExact(x.dim(2));
        long first = x.rowOffset(line * width);
        long pixel = x.stride(2);
        long means = moments.rowOffset(2 * line);
        for (int channel = 0; channel < channels; channel += COUNT) {
            FloatVector sum = FloatVector.zero(FLOATS);
            for (int i = 0; i < width; i++) {
                sum = sum.add(load(from, first + i * pixel, channel, channels));
            }
            FloatVector mean = sum.div(width);
            FloatVector squares = FloatVector.zero(FLOATS);
            for (int i = 0; i < width; i++) {
                FloatVector centred = load(from, first + i * pixel, channel, channels).sub(mean);
                squares = centred.fma(centred, squares);
            }
            store(mean, to, means, channel, channels);
            store(squares, to, means + channels, channel, channels);
        }
    }

    /**
     * The moments of groups from those of lines, in f64 and in the order of the lines.
     *
     * @param lines as {@link #lineMoments} leaves them
     * @param width pixels of a line
     * @param out [batch, 2, groups]
     */
    static void groupMoments(Tensor lines, long width, Tensor out, long batch) {
        int groups = Math.toIntExact(out.dim(2));
        int channels = Math.toIntExact(lines.dim(2));
        int size = channels / groups;
        long height = lines.dim(0) / out.dim(0);
        double[] means = new double[groups];
        double[] squares = new double[groups];
        MemorySegment segment = HostRows.segment(lines);
        for (int pass = 0; pass < 2; pass++) {
            for (long line = batch * height; line < (batch + 1) * height; line++) {
                long at = lines.rowOffset(2 * line);
                for (int channel = 0; channel < channels; channel++) {
                    double mean = segment.get(Lanes.FLOAT, (at + channel) * Float.BYTES);
                    int group = channel / size;
                    if (pass == 0) {
                        means[group] += mean;
                    } else {
                        double apart = mean - means[group];
                        squares[group] += segment.get(Lanes.FLOAT, (at + channels + channel) * Float.BYTES) + width * apart * apart;
                    }
                }
            }
            for (int group = 0; pass == 0 && group < groups; group++) {
                means[group] /= height * size;
            }
        }
        float[] values = new float[groups];
        for (int group = 0; group < groups; group++) {
            values[group] = (float) means[group];
        }
        HostRows.write(out, 2 * batch, values);
        for (int group = 0; group < groups; group++) {
            values[group] = (float) (squares[group] / (width * height * size));
        }
        HostRows.write(out, 2 * batch + 1, values);
    }

    /** What GroupNorm does to each channel: {@code (x - mean) * scale + bias}. */
    record Channels(float[] mean, float[] scale, float[] bias) {

        static Channels of(Tensor moments, long batch, float[] weight, float[] bias, double eps) {
            float[] means = HostRows.read(moments, 2 * batch);
            float[] variances = HostRows.read(moments, 2 * batch + 1);
            int channels = weight.length;
            int size = channels / means.length;
            int padded = Math.ceilDiv(channels, COUNT) * COUNT;
            Channels result = new Channels(new float[padded], new float[padded], new float[padded]);
            for (int channel = 0; channel < channels; channel++) {
                result.mean[channel] = means[channel / size];
                result.scale[channel] = (float) (weight[channel] / Math.sqrt(variances[channel / size] + eps));
                result.bias[channel] = bias[channel];
            }
            return result;
        }
    }

    static void groupNorm(Tensor x, Channels norm, boolean silu, Tensor out, long line) {
        MemorySegment from = HostRows.segment(x);
        MemorySegment to = HostRows.segment(out);
        int channels = Math.toIntExact(x.dim(3));
        int width = Math.toIntExact(x.dim(2));
        long source = x.rowOffset(line * width);
        long target = out.rowOffset(line * width);
        for (int i = 0; i < width; i++) {
            for (int channel = 0; channel < channels; channel += COUNT) {
                FloatVector value = load(from, source, channel, channels).sub(FloatVector.fromArray(FLOATS, norm.mean, channel))
                        .fma(FloatVector.fromArray(FLOATS, norm.scale, channel), FloatVector.fromArray(FLOATS, norm.bias, channel));
                store(silu ? Lanes.silu(value) : value, to, target, channel, channels);
            }
            source += x.stride(2);
            target += out.stride(2);
        }
    }

    /** The two lines of {@code out} that a line of {@code x} becomes. */
    static void upsample(Tensor x, Tensor out, long line) {
        MemorySegment from = HostRows.segment(x);
        MemorySegment to = HostRows.segment(out);
        long bytes = x.dim(3) * Float.BYTES;
        long width = x.dim(2);
        for (long copy = 0; copy < 2; copy++) {
            long source = x.rowOffset(line * width);
            long target = out.rowOffset((2 * line + copy) * out.dim(2));
            for (long i = 0; i < width; i++) {
                for (long twin = 0; twin < 2; twin++) {
                    MemorySegment.copy(from, (source + i * x.stride(2)) * Float.BYTES, to,
                            (target + (2 * i + twin) * out.stride(2)) * Float.BYTES, bytes);
                }
            }
        }
    }
}
