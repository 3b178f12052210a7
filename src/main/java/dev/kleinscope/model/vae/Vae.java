package dev.kleinscope.model.vae;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;
import dev.kleinscope.weights.WeightSource;

/**
 * FLUX.2's autoencoder: pictures to latents an eighth their size and back. Source: diffusers {@code AutoencoderKLFlux2}.
 *
 * <p>Pictures and latents are [batch, height, width, channels]. They are large: one that an observer is shown may end as
 * soon as the model needs it no more, which can be before the next point is reported.
 */
public final class Vae {

    private final VaeConfig config;
    private final Encoder encoder;
    private final Decoder decoder;
    private final HostTensor runningMean;
    private final HostTensor runningVariance;

    /**
     * @param source weights under diffusers' names
     * @throws dev.kleinscope.weights.ModelException naming the weight that is missing, extra or misshapen
     */
    public Vae(WeightSource source, VaeConfig config, Ops ops) {
        this.config = config;
        WeightReader reader = new WeightReader(source);
        VaeWeights weights = new VaeWeights(reader, ops, config);
        encoder = new Encoder(weights);
        decoder = new Decoder(weights);
        runningMean = reader.take("bn.running_mean", config.tokenChannels()).toHost();
        runningVariance = reader.take("bn.running_var", config.tokenChannels()).toHost();
        reader.finish("bn.num_batches_tracked"::equals);
    }

    public VaeConfig config() {
        return config;
    }

    /** Mean of each channel of a latent token, [4 latentChannels]. */
    public HostTensor runningMean() {
        return runningMean;
    }

    /** Variance of each channel of a latent token, [4 latentChannels]. */
    public HostTensor runningVariance() {
        return runningVariance;
    }

    /** The decoder in parts. */
    public Decoder decoder() {
        return decoder;
    }

    /**
     * A picture from its latents.
     *
     * @param latents [batch, h, w, latentChannels], not normalised
     * @return [batch, 8h, 8w, 3], about -1 to 1, in the caller's frame
     */
    public Tensor decode(Ops ops, Tensor latents, Probes probes) {
        return decoder.forward(ops, latents, probes);
    }

    /**
     * The mean of the distribution of a picture's latents.
     *
     * @param image [batch, height, width, 3], -1 to 1; sides multiples of 8
     * @return [batch, height / 8, width / 8, latentChannels], not normalised, in the caller's frame
     * @throws IllegalArgumentException if a side is no multiple of 8
     */
    public Tensor encode(Ops ops, Tensor image, Probes probes) {
        int scale = config.scale();
        if (image.shape().rank() != 4 || image.dim(1) % scale != 0 || image.dim(2) % scale != 0) {
            throw new IllegalArgumentException("encode: expected a picture [batch, height, width, " + config.inChannels()
                    + "] with sides that are multiples of " + scale + ", found " + image.name() + image.shape() + "; crop it first");
        }
        return encoder.forward(ops, image, probes);
    }
}
