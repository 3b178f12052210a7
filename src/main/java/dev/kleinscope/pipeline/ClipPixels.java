package dev.kleinscope.pipeline;

import dev.kleinscope.tensor.HostTensor;

/**
 * An image as CLIP wants it, by the arithmetic of transformers' torchvision-backed image processor: shortest edge to a
 * size (bicubic), centre crop (odd remainders go to the right and bottom), mean and standard deviation.
 *
 * <p>Source: transformers {@code image_processing_backends.py}, {@code image_processing_clip.py}.
 *
 * @param shortestEdge in pixels
 * @param cropWidth in pixels; a smaller image is padded with black
 * @param cropHeight in pixels
 * @param mean per channel, for values 0..1
 * @param std per channel, for values 0..1
 */
public record ClipPixels(int shortestEdge, int cropWidth, int cropHeight, float[] mean, float[] std) {

    /** @throws IllegalArgumentException if a size is not positive or there are not three finite means and deviations */
    public ClipPixels {
        if (shortestEdge < 1 || !Image8.allowed(cropWidth, cropHeight)) {
            throw new IllegalArgumentException("CLIP preprocessor: shortest edge " + shortestEdge + " and crop "
                    + cropWidth + "x" + cropHeight + " are not sizes of an image");
        }
        mean = three("image_mean", mean);
        std = three("image_std", std);
        for (float value : std) {
            if (value == 0) {
                throw new IllegalArgumentException("CLIP preprocessor: image_std must not contain zero");
            }
        }
    }

    private static float[] three(String name, float[] values) {
        if (values.length != 3) {
            throw new IllegalArgumentException("CLIP preprocessor: " + name + " needs 3 values, found " + values.length);
        }
        for (float value : values) {
            if (!Float.isFinite(value)) {
                throw new IllegalArgumentException("CLIP preprocessor: " + name + " contains " + value);
            }
        }
        return values.clone();
    }

    /**
     * The model's input, [1, 3, cropHeight, cropWidth].
     *
     * @throws ImageException if the image is so elongated that its resized form would be too large
     */
    public HostTensor pixelValues(Image8 image) {
        Image8 cropped = crop(image);
        int pixels = cropWidth * cropHeight;
        float[] values = new float[3 * pixels];
        for (int channel = 0; channel < 3; channel++) {
            // the 1/255 is folded into mean and deviation, as there
            float shift = mean[channel] * 255f;
            float scale = std[channel] * 255f;
            for (int i = 0; i < pixels; i++) {
                values[channel * pixels + i] = ((cropped.rgb()[3 * i + channel] & 0xff) - shift) / scale;
            }
        }
        return HostTensor.of("pixel_values", values, 1, 3, cropHeight, cropWidth);
    }

    private Image8 crop(Image8 image) {
        boolean tall = image.height() > image.width();
        int shortSide = Math.min(image.width(), image.height());
        int longSide = Math.max(image.width(), image.height());
        // through f64, and truncated, as Python's int(size * long / short)
        long other = (long) ((double) ((long) shortestEdge * longSide) / shortSide);
        long width = tall ? shortestEdge : other;
        long height = tall ? other : shortestEdge;
        if (!Image8.allowed(width, height) || !Image8.allowed(width, image.height())) {
            throw new ImageException("an " + image + " is too elongated for CLIP: at a shortest edge of " + shortestEdge
                    + " it would have " + width + "x" + height + " pixels; crop it first");
        }
        Image8 resized = TorchResize.bicubic(image, (int) width, (int) height);
        return resized.crop(offset(resized.width(), cropWidth), offset(resized.height(), cropHeight), cropWidth, cropHeight);
    }

    /** Left or top edge of the crop; negative where padding is needed, the smaller half of it first. */
    private static int offset(int size, int crop) {
        return (size - crop) / 2;
    }
}
