package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Image8;

/**
 * How an image looks without knowing what it shows: four measures that together tell blur, noise and collapse (a picture
 * fallen into a few flat colours) from a sound picture. None has an absolute threshold: read them relative to benign images
 * of the same medium.
 *
 * <table>
 * <caption>What each failure does to each measure</caption>
 * <tr><th></th><th>blur</th><th>noise</th><th>collapse</th></tr>
 * <tr><td>{@code laplacianVariance}</td><td>falls</td><td>rises</td><td>falls to 0</td></tr>
 * <tr><td>{@code noiseSigma}</td><td>falls</td><td>rises</td><td>falls to 0</td></tr>
 * <tr><td>{@code blur}</td><td>rises</td><td>stays low</td><td>rises to 1</td></tr>
 * <tr><td>{@code colourEntropy}</td><td>does not fall</td><td>rises</td><td>falls to 0</td></tr>
 * </table>
 *
 * @param laplacianVariance the structural score: population variance of the 8-bit gray image's Laplacian, as OpenCV's
 *     {@code Laplacian(gray, CV_64F).var()} gives it (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield
 *     microscopy"); squared gray levels
 * @param noiseSigma standard deviation of the noise in gray levels, fine texture counting as noise (Immerkaer 1996, "Fast
 *     noise variance estimation"); 0 for images under 3 pixels wide or high
 * @param blur 0 (sharp) to 1 (nothing fine left), by how little a further blur takes away (Crete et al. 2007, "The blur
 *     effect"); 1 for a flat image
 * @param colourEntropy bits of the histogram over 16 x 16 x 16 colours (Shannon 1948; the histogram is that of Swain and
 *     Ballard 1991, "Color indexing"); 0 for a flat image, at most 12
 */
public record ImageMetrics(double laplacianVariance, double noiseSigma, double blur, double colourEntropy) {

    /** Neighbours on either side in Crete's averaging filter of nine. */
    private static final int BLUR_REACH = 4;

    public static ImageMetrics of(Image8 image) {
        int[] gray = gray(image);
        int width = image.width();
        int height = image.height();
        return new ImageMetrics(laplacianVariance(gray, width, height), noiseSigma(gray, width, height),
                blur(gray, width, height), colourEntropy(image));
    }

    /** Luma in 0..255 by OpenCV's 15-bit integer weights, rounded to nearest. */
    private static int[] gray(Image8 image) {
        byte[] rgb = image.rgb();
        int[] gray = new int[image.width() * image.height()];
        for (int i = 0; i < gray.length; i++) {
            gray[i] = (9798 * (rgb[3 * i] & 0xff) + 19235 * (rgb[3 * i + 1] & 0xff) + 3735 * (rgb[3 * i + 2] & 0xff)
                    + 16384) >> 15;
        }
        return gray;
    }

    /** Four neighbours less four times the centre; beyond the border the image is mirrored about its edge pixels. */
    private static double laplacianVariance(int[] gray, int width, int height) {
        long sum = 0;
        long squares = 0;
        for (int y = 0; y < height; y++) {
            int up = mirrored(y - 1, height) * width;
            int down = mirrored(y + 1, height) * width;
            for (int x = 0; x < width; x++) {
                int row = y * width;
                long value = gray[up + x] + gray[down + x] + gray[row + mirrored(x - 1, width)]
                        + gray[row + mirrored(x + 1, width)] - 4 * gray[row + x];
                sum += value;
                squares += value * value;
            }
        }
        double mean = (double) sum / gray.length;
        return Math.max(0, (double) squares / gray.length - mean * mean);
    }

    private static int mirrored(int index, int size) {
        if (size == 1) {
            return 0;
        }
        return index < 0 ? -index : index >= size ? 2 * size - 2 - index : index;
    }

    /** Mean magnitude of the difference of two Laplacians, which straight edges leave at zero and noise does not. */
    private static double noiseSigma(int[] gray, int width, int height) {
        if (width < 3 || height < 3) {
            return 0;
        }
        long sum = 0;
        for (int y = 1; y < height - 1; y++) {
            for (int x = 1; x < width - 1; x++) {
                int at = y * width + x;
                sum += Math.abs(gray[at - width - 1] - 2 * gray[at - width] + gray[at - width + 1]
                        - 2 * gray[at - 1] + 4 * gray[at] - 2 * gray[at + 1]
                        + gray[at + width - 1] - 2 * gray[at + width] + gray[at + width + 1]);
            }
        }
        return Math.sqrt(Math.PI / 2) * sum / (6.0 * (width - 2) * (height - 2));
    }

    /** The blurrier of the two directions; one without any differences has no say. */
    private static double blur(int[] gray, int width, int height) {
        double along = blur(gray, width, height, 1, width);
        double down = blur(gray, height, width, width, 1);
        return along < 0 && down < 0 ? 1 : Math.max(along, down);
    }

    /**
     * Share of the neighbour differences along lines of {@code length} pixels that survives averaging over nine pixels, or
     * -1 if there are none. Lines are {@code lineStep} apart in the array, their pixels {@code step}.
     */
    private static double blur(int[] gray, int length, int lines, int step, int lineStep) {
        long before = 0;
        double lost = 0;
        int taps = 2 * BLUR_REACH + 1;
        for (int line = 0; line < lines; line++) {
            int start = line * lineStep;
            int window = 0;
            for (int k = -BLUR_REACH; k <= BLUR_REACH; k++) {
                window += gray[start + clamped(k, length) * step];
            }
            for (int i = 1; i < length; i++) {
                int next = window + gray[start + clamped(i + BLUR_REACH, length) * step]
                        - gray[start + clamped(i - BLUR_REACH - 1, length) * step];
                int sharp = Math.abs(gray[start + i * step] - gray[start + (i - 1) * step]);
                before += sharp;
                lost += Math.max(0, sharp - Math.abs(next - window) / (double) taps);
                window = next;
            }
        }
        return before == 0 ? -1 : Math.clamp((before - lost) / before, 0, 1);
    }

    private static int clamped(int index, int size) {
        return Math.clamp(index, 0, size - 1);
    }

    private static double colourEntropy(Image8 image) {
        int[] histogram = new int[4096];
        byte[] rgb = image.rgb();
        for (int i = 0; i < rgb.length; i += 3) {
            histogram[(rgb[i] & 0xf0) << 4 | rgb[i + 1] & 0xf0 | (rgb[i + 2] & 0xf0) >> 4]++;
        }
        double pixels = rgb.length / 3;
        double bits = 0;
        for (int count : histogram) {
            if (count > 0) {
                bits -= count / pixels * Math.log(count / pixels) / Math.log(2);
            }
        }
        return Math.max(0, bits);
    }
}
