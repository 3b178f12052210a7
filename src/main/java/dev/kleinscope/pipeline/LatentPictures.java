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
        float[] values = new float[tokens.values().length];
        for (int i = 0; i < values.length; i++) {
            int channel = i % mean.length;
            values[pixel(i, height, width)] = (float) (tokens.values()[i] * deviation[channel] + mean[channel]);
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
                    + "] with even sides, found " + latents + "; sides of the picture must be multiples of 16");
        }
        int height = (int) latents.shape().dim(1) / 2;
        int width = (int) latents.shape().dim(2) / 2;
        float[] values = new float[latents.values().length];
        for (int i = 0; i < values.length; i++) {
            int channel = i % mean.length;
            values[i] = (float) ((latents.values()[pixel(i, height, width)] - mean[channel]) / deviation[channel]);
        }
        return HostTensor.of("tokens", values, latents.shape().dim(0), (long) height * width, mean.length);
    }

    /** Where in the latents element {@code i} of the tokens lies. */
    private int pixel(int i, int height, int width) {
        int channel = i % mean.length;
        int column = i / mean.length % width;
        int row = i / mean.length / width % height;
        int batch = i / mean.length / width / height;
        int y = 2 * row + channel / 2 % 2;
        int x = 2 * column + channel % 2;
        return ((batch * 2 * height + y) * 2 * width + x) * channels + channel / 4;
    }
}
