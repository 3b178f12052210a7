package dev.kleinscope.backend.cpu;

import static dev.kleinscope.backend.cpu.Lanes.COUNT;
import static dev.kleinscope.backend.cpu.Lanes.FLOATS;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The transforms of Winograd's F(4x4, 3x3): polynomials of pixels, taps and results at 0, +-1/sqrt 2, +-sqrt 2 and infinity. Of the points
 * whose transforms take as few operations these lose least: a quarter of what 0, +-1, +-2 lose at most. Vectors run along the channels.
 *
 * <p>Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, with other points.
 */
final class WinogradKernels {

    /** Pixels along a tile's side that are read. */
    static final int READ = 6;
    /** Pixels along a tile's side that result. */
    static final int MADE = 4;
    /** Products of a tile. */
    static final int POINTS = READ * READ;
    /** Floats that a transform keeps between its two directions. */
    static final int BETWEEN = POINTS * COUNT;

    private static final float NEAR = (float) Math.sqrt(0.5);
    private static final float FAR = (float) Math.sqrt(2);

    private WinogradKernels() {
    }

    /**
     * A window of 6x6 pixels.
     *
     * @param byteOffset of its first pixel's first channel
     * @param channels how many, rounded up to whole vectors
     * @param to where the first point's go; those of the next {@code apart} later
     */
    static void input(MemorySegment from, long byteOffset, long lineBytes, long pixelBytes, int channels, float[] between, float[] points,
            int to, int apart) {
        for (int channel = 0; channel < channels; channel += COUNT) {
            long at = byteOffset + (long) channel * Float.BYTES;
            for (int column = 0; column < READ; column++) {
                FloatVector d0 = Lanes.load(from, at);
                FloatVector d1 = Lanes.load(from, at + lineBytes);
                FloatVector d2 = Lanes.load(from, at + 2 * lineBytes);
                FloatVector d3 = Lanes.load(from, at + 3 * lineBytes);
                FloatVector d4 = Lanes.load(from, at + 4 * lineBytes);
                FloatVector d5 = Lanes.load(from, at + 5 * lineBytes);
                input(d0, d1, d2, d3, d4, d5, between, column * COUNT, READ * COUNT);
                at += pixelBytes;
            }
            for (int row = 0; row < READ; row++) {
                int line = row * READ * COUNT;
                input(FloatVector.fromArray(FLOATS, between, line), FloatVector.fromArray(FLOATS, between, line + COUNT),
                        FloatVector.fromArray(FLOATS, between, line + 2 * COUNT), FloatVector.fromArray(FLOATS, between, line + 3 * COUNT),
                        FloatVector.fromArray(FLOATS, between, line + 4 * COUNT), FloatVector.fromArray(FLOATS, between, line + 5 * COUNT),
                        points, to + channel + row * READ * apart, apart);
            }
        }
    }

    private static void input(FloatVector d0, FloatVector d1, FloatVector d2, FloatVector d3, FloatVector d4, FloatVector d5, float[] out,
            int to, int apart) {
        FloatVector half = Lanes.broadcast(-0.5f);
        FloatVector two = Lanes.broadcast(-2f);
        FloatVector both = Lanes.broadcast(-2.5f);
        d2.fma(both, d0.add(d4)).intoArray(out, to);
        FloatVector even = d2.fma(two, d4);
        FloatVector odd = d1.fma(two, d3);
        odd.fma(Lanes.broadcast(NEAR), even).intoArray(out, to + apart);
        odd.fma(Lanes.broadcast(-NEAR), even).intoArray(out, to + 2 * apart);
        even = d2.fma(half, d4);
        odd = d1.fma(half, d3);
        odd.fma(Lanes.broadcast(FAR), even).intoArray(out, to + 3 * apart);
        odd.fma(Lanes.broadcast(-FAR), even).intoArray(out, to + 4 * apart);
        d3.fma(both, d1.add(d5)).intoArray(out, to + 5 * apart);
    }

    /**
     * The 3x3 taps of a vector of output channels.
     *
     * @param taps {@code tapApart} from one to the next
     */
    static void taps(float[] taps, int from, int tapApart, float[] between, float[] points, int to, int apart) {
        for (int column = 0; column < 3; column++) {
            int at = from + column * tapApart;
            taps(FloatVector.fromArray(FLOATS, taps, at), FloatVector.fromArray(FLOATS, taps, at + 3 * tapApart),
                    FloatVector.fromArray(FLOATS, taps, at + 6 * tapApart), between, column * COUNT, 3 * COUNT);
        }
        for (int row = 0; row < READ; row++) {
            int at = row * 3 * COUNT;
            taps(FloatVector.fromArray(FLOATS, between, at), FloatVector.fromArray(FLOATS, between, at + COUNT),
                    FloatVector.fromArray(FLOATS, between, at + 2 * COUNT), points, to + row * READ * apart, apart);
        }
    }

    private static void taps(FloatVector g0, FloatVector g1, FloatVector g2, float[] out, int to, int apart) {
        g0.intoArray(out, to);
        FloatVector even = g2.fma(Lanes.broadcast(0.5f), g0).mul((float) (-2 / 3.0));
        FloatVector odd = g1.mul((float) (-Math.sqrt(0.5) * 2 / 3));
        even.add(odd).intoArray(out, to + apart);
        even.sub(odd).intoArray(out, to + 2 * apart);
        even = g2.fma(Lanes.broadcast(2f), g0).mul((float) (1 / 6.0));
        odd = g1.mul((float) (Math.sqrt(2) / 6));
        even.add(odd).intoArray(out, to + 3 * apart);
        even.sub(odd).intoArray(out, to + 4 * apart);
        g2.intoArray(out, to + 5 * apart);
    }

    /**
     * A vector of channels of the 4x4 pixels that products make.
     *
     * @param points from {@code from} on, {@code apart} from one to the next
     * @param pixels gets them line by line
     */
    static void output(float[] points, int from, int apart, float[] between, FloatVector bias, float[] pixels) {
        for (int column = 0; column < READ; column++) {
            int at = from + column * apart;
            output(FloatVector.fromArray(FLOATS, points, at), FloatVector.fromArray(FLOATS, points, at + READ * apart),
                    FloatVector.fromArray(FLOATS, points, at + 2 * READ * apart), FloatVector.fromArray(FLOATS, points, at + 3 * READ * apart),
                    FloatVector.fromArray(FLOATS, points, at + 4 * READ * apart), FloatVector.fromArray(FLOATS, points, at + 5 * READ * apart),
                    FloatVector.zero(FLOATS), between, column * COUNT, READ * COUNT);
        }
        for (int row = 0; row < MADE; row++) {
            int at = row * READ * COUNT;
            output(FloatVector.fromArray(FLOATS, between, at), FloatVector.fromArray(FLOATS, between, at + COUNT),
                    FloatVector.fromArray(FLOATS, between, at + 2 * COUNT), FloatVector.fromArray(FLOATS, between, at + 3 * COUNT),
                    FloatVector.fromArray(FLOATS, between, at + 4 * COUNT), FloatVector.fromArray(FLOATS, between, at + 5 * COUNT),
                    bias, pixels, row * MADE * COUNT, COUNT);
        }
    }

    private static void output(FloatVector m0, FloatVector m1, FloatVector m2, FloatVector m3, FloatVector m4, FloatVector m5,
            FloatVector bias, float[] out, int to, int apart) {
        FloatVector near = m1.add(m2);
        FloatVector far = m3.add(m4);
        m0.add(near).add(far).add(bias).intoArray(out, to);
        near.fma(Lanes.broadcast(0.5f), far.mul(2f)).add(bias).intoArray(out, to + 2 * apart);
        near = m1.sub(m2).mul(NEAR);
        far = m3.sub(m4).mul(FAR);
        near.add(far).add(bias).intoArray(out, to + apart);
        near.fma(Lanes.broadcast(0.5f), far.fma(Lanes.broadcast(2f), m5)).add(bias).intoArray(out, to + 3 * apart);
    }
}
