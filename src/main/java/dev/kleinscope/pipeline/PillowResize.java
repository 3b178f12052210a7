package dev.kleinscope.pipeline;

/** Resizing as Pillow does it ({@code Image.resize}), to the bit. Source: Pillow {@code Resample.c}. */
public final class PillowResize {

    /** 8 bits of pixel and 2 of headroom leave 22 of an int for the weights. */
    private static final Resampler LANCZOS = new Resampler(PillowResize::lanczos, 3, largest -> 22);

    private PillowResize() {
    }

    /**
     * {@code image.resize((width, height), LANCZOS)}.
     *
     * @throws IllegalArgumentException if a size is out of {@link Image8}'s bounds
     */
    public static Image8 lanczos(Image8 image, int width, int height) {
        return LANCZOS.resize(image, width, height);
    }

    private static double lanczos(double x) {
        return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    }

    private static double sinc(double x) {
        return x == 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
    }
}
