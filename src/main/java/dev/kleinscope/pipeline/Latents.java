package dev.kleinscope.pipeline;

import dev.kleinscope.tensor.HostTensor;

/** Latents as a picture [batch, channels, height, width] and as tokens [batch, height * width, channels]. */
public final class Latents {

    private Latents() {
    }

    /** Row-major tokens of a picture. Source: diffusers {@code _pack_latents}. */
    public static HostTensor pack(HostTensor picture) {
        int batch = (int) picture.shape().dim(0);
        int channels = (int) picture.shape().dim(1);
        int pixels = (int) (picture.shape().dim(2) * picture.shape().dim(3));
        return HostTensor.of(picture.name(), transpose(picture.values(), batch, channels, pixels), batch, pixels, channels);
    }

    /** The picture whose tokens these are. */
    public static HostTensor unpack(HostTensor tokens, int height, int width) {
        int batch = (int) tokens.shape().dim(0);
        int channels = (int) tokens.shape().dim(2);
        return HostTensor.of(tokens.name(), transpose(tokens.values(), batch, height * width, channels), batch, channels, height, width);
    }

    private static float[] transpose(float[] values, int batch, int rows, int columns) {
        float[] out = new float[values.length];
        for (int b = 0; b < batch; b++) {
            int base = b * rows * columns;
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < columns; c++) {
                    out[base + c * rows + r] = values[base + r * columns + c];
                }
            }
        }
        return out;
    }
}
