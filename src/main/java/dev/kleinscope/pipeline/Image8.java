package dev.kleinscope.pipeline;

import dev.kleinscope.tensor.HostTensor;
import java.util.Arrays;

/**
 * An 8-bit RGB image.
 *
 * @param width in pixels, 1 to {@link #MAX_SIDE}
 * @param height in pixels, 1 to {@link #MAX_SIDE}
 * @param rgb row-major, three unsigned bytes a pixel; not copied
 */
public record Image8(int width, int height, byte[] rgb) {

    /** Longest side, JPEG's own limit. */
    public static final int MAX_SIDE = 65_535;

    /** Most pixels an image may have; a hostile header can claim billions. */
    public static final long MAX_PIXELS = 100_000_000;

    /** @throws IllegalArgumentException if a size is out of bounds or does not match the array */
    public Image8 {
        if (!allowed(width, height)) {
            throw new IllegalArgumentException(refusal(width, height));
        }
        if (rgb.length != width * height * 3) {
            throw new IllegalArgumentException("an image of " + width + "x" + height + " has " + width * height * 3
                    + " bytes of RGB, not " + rgb.length);
        }
    }

    /** A black image. @throws IllegalArgumentException if a size is out of bounds, before anything is allocated */
    public static Image8 black(int width, int height) {
        if (!allowed(width, height)) {
            throw new IllegalArgumentException(refusal(width, height));
        }
        return new Image8(width, height, new byte[width * height * 3]);
    }

    /**
     * The image that planes of numbers show: 0 is black, 1 is full, each value is clamped and then rounded (half to even).
     * NaN is black.
     *
     * @param planes [3, height, width] or [1, 3, height, width]
     * @throws IllegalArgumentException on any other shape
     */
    public static Image8 ofUnit(HostTensor planes) {
        long[] dims = planes.shape().dims();
        int rank = dims.length;
        if (rank < 3 || rank > 4 || dims[rank - 3] != 3 || (rank == 4 && dims[0] != 1)
                || !allowed(dims[rank - 1], dims[rank - 2])) {
            throw new IllegalArgumentException(planes.name() + ": expected [1, 3, height, width] of at most "
                    + MAX_PIXELS + " pixels, found " + planes.shape());
        }
        Image8 image = black((int) dims[rank - 1], (int) dims[rank - 2]);
        int pixels = image.width * image.height;
        float[] values = planes.values();
        for (int channel = 0; channel < 3; channel++) {
            for (int i = 0; i < pixels; i++) {
                float value = Math.clamp(values[channel * pixels + i], 0f, 1f);
                image.rgb[3 * i + channel] = (byte) (int) Math.rint(value * 255f);
            }
        }
        return image;
    }

    /** Whether an image may have these sizes. */
    static boolean allowed(long width, long height) {
        return width >= 1 && height >= 1 && width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS;
    }

    static String refusal(long width, long height) {
        return "an image of " + width + "x" + height + " pixels is outside what can be held: sides of 1 to " + MAX_SIDE
                + ", " + MAX_PIXELS + " pixels in all";
    }

    /** One channel (0 red, 1 green, 2 blue) of one pixel, 0 to 255. */
    public int at(int x, int y, int channel) {
        return rgb[3 * (y * width + x) + channel] & 0xff;
    }

    /**
     * A part of this image; what lies outside it is black.
     *
     * @throws IllegalArgumentException if a size is out of bounds
     */
    Image8 crop(int left, int top, int newWidth, int newHeight) {
        Image8 part = black(newWidth, newHeight);
        int from = Math.max(0, -left);
        int to = Math.min(newWidth, width - left);
        for (int y = Math.max(0, -top); y < Math.min(newHeight, height - top) && from < to; y++) {
            System.arraycopy(rgb, 3 * ((y + top) * width + from + left), part.rgb, 3 * (y * newWidth + from), 3 * (to - from));
        }
        return part;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Image8 image && width == image.width && height == image.height
                && Arrays.equals(rgb, image.rgb);
    }

    @Override
    public int hashCode() {
        return 31 * (31 * width + height) + Arrays.hashCode(rgb);
    }

    @Override
    public String toString() {
        return "image " + width + "x" + height;
    }
}
