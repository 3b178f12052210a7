package dev.kleinscope.pipeline;

import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.tensor.HostTensor;

/**
 * The autoencoder's latents [batch, 2 height, 2 width, channels] and the DiT's tokens [batch, height * width, 4 channels].
 *
 * <p>A token is two by two latent pixels, channel 4c + 2dy + dx, normalised by the statistics in the autoencoder's
 * checkpoint. Source: diffusers {@code pipeline_flux2_klein.py}, {@code _patchify_latents} and the lines around it.
 */
public final class LatentPictures {

    /** Pixels of a token: corner 2dy + dx. */
    private static final int CORNERS = 4;

    private final double[] mean;
    private final double[] deviation;
    private final int channels;

    public LatentPictures(Vae vae) {
        this(vae.runningMean().values(), vae.runningVariance().values(), vae.config().batchNormEps());
    }

    /**
     * @param mean of each of a token's channels
     * @param variance of each of a token's channels
     * @param eps added to the variances
     */
    LatentPictures(float[] mean, float[] variance, double eps) {
        channels = mean.length / 4;
        this.mean = new double[mean.length];
        deviation = new double[mean.length];
        for (int i = 0; i < mean.length; i++) {
            this.mean[i] = mean[i];
            deviation[i] = Math.sqrt(variance[i] + eps);
        }
    }

    /**
     * What the decoder is given.
     *
     * @param tokens [batch, height * width, 4 channels], normalised
     * @param height rows of tokens
     * @param width tokens of a row
     * @return [batch, 2 height, 2 width, channels]
     * @throws IllegalArgumentException if the shape is another
     */
    public HostTensor fromTokens(HostTensor tokens, int height, int width) {
        if (tokens.shape().rank() != 3 || tokens.shape().dim(1) != (long) height * width || tokens.shape().dim(2) != mean.length) {
            throw new IllegalArgumentException("latents: expected tokens [batch, " + height + " * " + width + ", " + mean.length
                    + "], found " + tokens);
        }
        int batch = (int) tokens.shape().dim(0);
        float[] from = tokens.values();
        float[] values = new float[from.length];
        for (int token = 0; token < batch * height * width; token++) {
            for (int corner = 0; corner < CORNERS; corner++) {
                int pixel = pixel(token, corner, height, width);
                for (int c = 0; c < channels; c++) {
                    int channel = CORNERS * c + corner;
                    values[pixel + c] = (float) (from[token * mean.length + channel] * deviation[channel] + mean[channel]);
                }
            }
        }
        return HostTensor.of("latents", values, batch, 2L * height, 2L * width, channels);
    }

    /**
     * What the DiT is given.
     *
     * @param latents [batch, 2 height, 2 width, channels] as the encoder returns them
     * @return [batch, height * width, 4 channels], normalised
     * @throws IllegalArgumentException if a side is odd or the channels are not the autoencoder's
     */
    public HostTensor toTokens(HostTensor latents) {
        if (latents.shape().rank() != 4 || latents.shape().dim(1) % 2 != 0 || latents.shape().dim(2) % 2 != 0
                || latents.shape().dim(3) != channels) {
            throw new IllegalArgumentException("latents: expected [batch, height, width, " + channels
                    + "] with even sides, found " + latents.name() + latents.shape() + "; sides of the picture must be multiples of 16");
        }
        int height = (int) latents.shape().dim(1) / 2;
        int width = (int) latents.shape().dim(2) / 2;
        float[] from = latents.values();
        float[] values = new float[from.length];
        for (int token = 0; token < values.length / mean.length; token++) {
            for (int corner = 0; corner < CORNERS; corner++) {
                int pixel = pixel(token, corner, height, width);
                for (int c = 0; c < channels; c++) {
                    int channel = CORNERS * c + corner;
                    values[token * mean.length + channel] = (float) ((from[pixel + c] - mean[channel]) / deviation[channel]);
                }
            }
        }
        return HostTensor.of("tokens", values, latents.shape().dim(0), (long) height * width, mean.length);
    }

    /** Where in the latents a corner's pixel of a token begins. */
    private int pixel(int token, int corner, int height, int width) {
        int column = token % width;
        int row = token / width % height;
        int batch = token / width / height;
        return ((batch * 2 * height + 2 * row + corner / 2) * 2 * width + 2 * column + corner % 2) * channels;
    }
}
