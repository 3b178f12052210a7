package dev.kleinscope.report;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;

/** A map as a small picture, a pixel a value: from black at 0 over purple and orange to pale yellow at the largest value. */
final class HeatPicture {

    /** Evenly spaced; each is lighter than the one before. */
    private static final int[] RAMP = {0x000004, 0x280b54, 0x65156e, 0x9f2a63, 0xd44842, 0xf57d15, 0xfac127, 0xfcffa4};

    private HeatPicture() {
    }

    /** @param map [height, width], row by row; black where it is not positive */
    static byte[] png(float[] map, int height, int width) {
        float largest = 0;
        for (float value : map) {
            largest = Math.max(largest, value);
        }
        BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        for (int i = 0; i < map.length; i++) {
            image.setRGB(i % width, i / width, colour(map[i] > 0 ? map[i] / largest : 0));
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            Thumbnail.writePng(image, bytes);
        } catch (IOException e) {
            throw new UncheckedIOException("a map cannot be written as PNG", e);
        }
        return bytes.toByteArray();
    }

    /** @param value 0 to 1 */
    static int colour(double value) {
        double place = value * (RAMP.length - 1);
        int from = Math.min((int) place, RAMP.length - 2);
        int colour = 0;
        for (int shift = 16; shift >= 0; shift -= 8) {
            int low = RAMP[from] >> shift & 0xff;
            int high = RAMP[from + 1] >> shift & 0xff;
            colour |= (int) Math.round(low + (place - from) * (high - low)) << shift;
        }
        return colour;
    }
}
