package dev.kleinscope.pipeline;

/**
 * Resizing as torchvision does it on 8-bit tensors ({@code resize(..., BICUBIC, antialias=True)}), to the bit.
 * Source: PyTorch {@code UpSampleKernel.cpp}, {@code _compute_index_ranges_int16_weights}.
 */
public final class TorchResize {

    private static final Resampler BICUBIC = new Resampler(TorchResize::cubic, 2, TorchResize::int16Bits);

    private TorchResize() {
    }

    /** @throws IllegalArgumentException if a size is out of {@link Image8}'s bounds */
    public static Image8 bicubic(Image8 image, int width, int height) {
        return BICUBIC.resize(image, width, height);
    }

    /** Keys' cubic convolution with a = -0.5. */
    private static double cubic(double x) {
        double d = Math.abs(x);
        if (d < 1) {
            return (1.5 * d - 2.5) * d * d + 1;
        }
        return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
    }

    /** As many bits as leave the largest weight below 2^15. */
    private static int int16Bits(double largest) {
        int bits = 0;
        while (bits < 22 && (int) (0.5 + largest * (1 << (bits + 1))) < 1 << 15) {
            bits++;
        }
        return bits;
    }
}
