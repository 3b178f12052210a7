package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Image8;

/**
 * Structural similarity of two images of one size: 1 for equal ones.
 *
 * <p>Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
 * 2004, on 8-bit luma with the paper's Gaussian window (11 x 11, sigma 1.5) and constants; borders are left out, and images
 * smaller than the window are compared with one window over the whole.
 */
public final class Ssim {

    private static final int WINDOW = 11;
    private static final double SIGMA = 1.5;
    private static final double C1 = Math.pow(0.01 * 255, 2);
    private static final double C2 = Math.pow(0.03 * 255, 2);

    private Ssim() {
    }

    /** @throws IllegalArgumentException if the sizes differ */
    public static double of(Image8 a, Image8 b) {
        if (a.width() != b.width() || a.height() != b.height()) {
            throw new IllegalArgumentException("images of " + a.width() + "x" + a.height() + " and " + b.width() + "x" + b.height()
                    + " pixels cannot be compared");
        }
        double[] x = luma(a);
        double[] y = luma(b);
        double[] kernelX = kernel(Math.min(WINDOW, a.width()));
        double[] kernelY = kernel(Math.min(WINDOW, a.height()));
        double[] meanX = filter(x, null, a.width(), a.height(), kernelX, kernelY);
        double[] meanY = filter(y, null, a.width(), a.height(), kernelX, kernelY);
        double[] squareX = filter(x, x, a.width(), a.height(), kernelX, kernelY);
        double[] squareY = filter(y, y, a.width(), a.height(), kernelX, kernelY);
        double[] product = filter(x, y, a.width(), a.height(), kernelX, kernelY);
        double sum = 0;
        for (int i = 0; i < meanX.length; i++) {
            double varianceX = squareX[i] - meanX[i] * meanX[i];
            double varianceY = squareY[i] - meanY[i] * meanY[i];
            double covariance = product[i] - meanX[i] * meanY[i];
            sum += (2 * meanX[i] * meanY[i] + C1) * (2 * covariance + C2)
                    / ((meanX[i] * meanX[i] + meanY[i] * meanY[i] + C1) * (varianceX + varianceY + C2));
        }
        return sum / meanX.length;
    }

    private static double[] luma(Image8 image) {
        double[] luma = new double[image.width() * image.height()];
        byte[] rgb = image.rgb();
        for (int i = 0; i < luma.length; i++) {
            luma[i] = 0.299 * (rgb[3 * i] & 0xff) + 0.587 * (rgb[3 * i + 1] & 0xff) + 0.114 * (rgb[3 * i + 2] & 0xff);
        }
        return luma;
    }

    private static double[] kernel(int size) {
        double[] kernel = new double[size];
        double sum = 0;
        for (int i = 0; i < size; i++) {
            double at = i - (size - 1) / 2.0;
            kernel[i] = Math.exp(-at * at / (2 * SIGMA * SIGMA));
            sum += kernel[i];
        }
        for (int i = 0; i < size; i++) {
            kernel[i] /= sum;
        }
        return kernel;
    }

    /** The window's weighted mean of {@code a}, or of {@code a * b}, at every place where it fits. */
    private static double[] filter(double[] a, double[] b, int width, int height, double[] kernelX, double[] kernelY) {
        int outWidth = width - kernelX.length + 1;
        int outHeight = height - kernelY.length + 1;
        double[] rows = new double[outWidth * height];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < outWidth; x++) {
                double sum = 0;
                for (int k = 0; k < kernelX.length; k++) {
                    int at = y * width + x + k;
                    sum += kernelX[k] * (b == null ? a[at] : a[at] * b[at]);
                }
                rows[y * outWidth + x] = sum;
            }
        }
        double[] out = new double[outWidth * outHeight];
        for (int y = 0; y < outHeight; y++) {
            for (int x = 0; x < outWidth; x++) {
                double sum = 0;
                for (int k = 0; k < kernelY.length; k++) {
                    sum += kernelY[k] * rows[(y + k) * outWidth + x];
                }
                out[y * outWidth + x] = sum;
            }
        }
        return out;
    }
}
