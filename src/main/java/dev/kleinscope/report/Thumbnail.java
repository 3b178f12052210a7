package dev.kleinscope.report;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.util.Arrays;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriter;
import javax.imageio.stream.MemoryCacheImageOutputStream;

/**
 * Small copies of images. Each pixel is the mean of the area that it covers, taken in linear light: fine noise keeps the
 * brightness that it has from afar, and nothing is skipped that could alias.
 */
public final class Thumbnail {

    /** Longest side of the pictures within a report. */
    public static final int REPORT_SIDE = 192;

    private static final float[] LINEAR = linear();

    private Thumbnail() {
    }

    /**
     * For {@link InterpolationReport}: a PNG of at most {@link #REPORT_SIDE} pixels to a side, never larger than the image.
     *
     * @param image any type; transparency is ignored
     */
    public static byte[] png(BufferedImage image) {
        int side = Math.min(REPORT_SIDE, Math.max(image.getWidth(), image.getHeight()));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            writePng(fitted(image, side, side), bytes);
        } catch (IOException e) {
            throw new UncheckedIOException("a thumbnail cannot be written as PNG", e);
        }
        return bytes.toByteArray();
    }

    /** The image with its proportions kept, as large as the box allows; enlarged pixels stay squares. */
    static BufferedImage fitted(BufferedImage image, int boxWidth, int boxHeight) {
        int fromWidth = image.getWidth();
        int fromHeight = image.getHeight();
        double scale = Math.min((double) boxWidth / fromWidth, (double) boxHeight / fromHeight);
        int width = Math.clamp(Math.round(fromWidth * scale), 1, boxWidth);
        int height = Math.clamp(Math.round(fromHeight * scale), 1, boxHeight);
        BufferedImage small = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        int[] pixels = new int[fromWidth];
        float[] row = new float[3 * width];
        float[] sum = new float[3 * width];
        int[] out = new int[width];
        int held = -1;
        double tall = (double) fromHeight / height;
        for (int y = 0; y < height; y++) {
            Arrays.fill(sum, 0);
            double top = y * tall;
            double bottom = Math.min(fromHeight, top + tall);
            for (int from = (int) top; from < bottom && from < fromHeight; from++) {
                if (from != held) {
                    image.getRGB(0, from, fromWidth, 1, pixels, 0, fromWidth);
                    narrow(pixels, row, width);
                    held = from;
                }
                float share = (float) ((Math.min(bottom, from + 1) - Math.max(top, from)) / tall);
                for (int i = 0; i < sum.length; i++) {
                    sum[i] += share * row[i];
                }
            }
            for (int x = 0; x < width; x++) {
                out[x] = level(sum[3 * x]) << 16 | level(sum[3 * x + 1]) << 8 | level(sum[3 * x + 2]);
            }
            small.setRGB(0, y, width, 1, out, 0, width);
        }
        return small;
    }

    /** Without the temporary files that {@link ImageIO} would keep beside. */
    static void writePng(BufferedImage image, OutputStream out) throws IOException {
        ImageWriter writer = ImageIO.getImageWritersByFormatName("png").next();
        try (MemoryCacheImageOutputStream sink = new MemoryCacheImageOutputStream(out)) {
            writer.setOutput(sink);
            writer.write(image);
        } finally {
            writer.dispose();
        }
    }

    /** One row of packed RGB as linear means, three a pixel. */
    private static void narrow(int[] pixels, float[] row, int width) {
        double wide = (double) pixels.length / width;
        for (int x = 0; x < width; x++) {
            double left = x * wide;
            double right = Math.min(pixels.length, left + wide);
            float red = 0;
            float green = 0;
            float blue = 0;
            for (int from = (int) left; from < right && from < pixels.length; from++) {
                float share = (float) ((Math.min(right, from + 1) - Math.max(left, from)) / wide);
                red += share * LINEAR[pixels[from] >> 16 & 0xff];
                green += share * LINEAR[pixels[from] >> 8 & 0xff];
                blue += share * LINEAR[pixels[from] & 0xff];
            }
            row[3 * x] = red;
            row[3 * x + 1] = green;
            row[3 * x + 2] = blue;
        }
    }

    /** IEC 61966-2-1. */
    private static float[] linear() {
        float[] table = new float[256];
        for (int i = 0; i < 256; i++) {
            double level = i / 255.0;
            table[i] = (float) (level <= 0.04045 ? level / 12.92 : Math.pow((level + 0.055) / 1.055, 2.4));
        }
        return table;
    }

    private static int level(float linear) {
        double level = linear <= 0.0031308 ? 12.92 * linear : 1.055 * Math.pow(linear, 1 / 2.4) - 0.055;
        return (int) Math.clamp(Math.round(255 * level), 0L, 255L);
    }
}
