package dev.kleinscope.pipeline;

import dev.kleinscope.tensor.HostTensor;

/**
 * A picture that the model is shown beside the prompt, prepared for the VAE's encoder.
 *
 * <p>Source: diffusers {@code pipeline_flux2_klein.py}, {@code flux2/image_processor.py}.
 */
public final class ReferenceImage {

    private static final long TARGET_PIXELS = 1024 * 1024;
    /** Pixels that one latent token covers along a side: the VAE's 8 times the patch's 2. */
    private static final int MULTIPLE = 16;
    private static final int MIN_SIDE = 64;
    private static final int MAX_ASPECT = 8;

    private ReferenceImage() {
    }

    /**
     * Shrinks what exceeds 1024^2 pixels (Lanczos, sizes truncated), crops the centre to multiples of 16 and maps
     * 0..255 to -1..1.
     *
     * @return [1, 3, height, width]
     * @throws ImageException if a side is under 64 pixels or the sides' ratio over 8
     */
    public static HostTensor prepare(Image8 image) {
        int width = image.width();
        int height = image.height();
        if (Math.min(width, height) < MIN_SIDE) {
            throw new ImageException("a reference image needs at least " + MIN_SIDE + " pixels on each side, this one has "
                    + width + "x" + height);
        }
        if (Math.max(width, height) > (long) MAX_ASPECT * Math.min(width, height)) {
            throw new ImageException("a reference image may be at most " + MAX_ASPECT + " times as long as wide, this one has "
                    + width + "x" + height + " pixels; crop it first");
        }
        Image8 scaled = image;
        if ((long) width * height > TARGET_PIXELS) {
            double scale = Math.sqrt((double) TARGET_PIXELS / ((long) width * height));
            scaled = PillowResize.lanczos(image, (int) (width * scale), (int) (height * scale));
        }
        int newWidth = scaled.width() / MULTIPLE * MULTIPLE;
        int newHeight = scaled.height() / MULTIPLE * MULTIPLE;
        return signed(scaled.crop((scaled.width() - newWidth) / 2, (scaled.height() - newHeight) / 2, newWidth, newHeight));
    }

    private static HostTensor signed(Image8 image) {
        int pixels = image.width() * image.height();
        float[] values = new float[3 * pixels];
        for (int channel = 0; channel < 3; channel++) {
            for (int i = 0; i < pixels; i++) {
                values[channel * pixels + i] = 2f * ((image.rgb()[3 * i + channel] & 0xff) / 255f) - 1f;
            }
        }
        return HostTensor.of("reference image", values, 1, 3, image.height(), image.width());
    }
}
