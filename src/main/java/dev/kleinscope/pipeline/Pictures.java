package dev.kleinscope.pipeline;

import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;

/** Latents to pictures and back. Source: diffusers {@code Flux2KleinPipeline}. */
public final class Pictures {

    /** Working memory of a decode where the backend does not tell how much it has. */
    public static final long DEFAULT_BUDGET_BYTES = 3L << 30;

    /** What single operations on a GPU take beside their pictures: the scores of an attention, the columns of a convolution. */
    private static final long SPARE_BYTES = 1L << 30;

    private final Ops ops;
    private final Vae vae;
    private final long budgetBytes;
    private final LatentPictures latents;

    /**
     * @param budgetBytes working memory a decode may take before it is done in tiles, where the backend does not tell how much it has
     */
    public Pictures(Ops ops, Vae vae, long budgetBytes) {
        this.ops = ops;
        this.vae = vae;
        this.budgetBytes = budgetBytes;
        latents = new LatentPictures(vae);
    }

    /**
     * @param normalised latents [1, channels, H/16, W/16], as the denoising loop leaves them
     * @return planes [1, 3, H, W], 0 to 1
     */
    public HostTensor decode(HostTensor normalised) {
        int height = (int) normalised.shape().dim(2);
        int width = (int) normalised.shape().dim(3);
        HostTensor input = latents.fromTokens(Latents.pack(normalised), height, width);
        return new VaeDecoding(ops, vae, budget(input)).planes(input);
    }

    /** What is short even for the smallest tiles is for the backend to tell, which knows what else takes its memory. */
    private long budget(HostTensor input) {
        long free = ops.freeBytes();
        return free == Long.MAX_VALUE ? budgetBytes : Math.max(free - SPARE_BYTES, TilePlan.leastBytes(vae.config(),
                (int) input.shape().dim(1), (int) input.shape().dim(2), ops.pictureType()));
    }

    /**
     * A reference image as the transformer takes it.
     *
     * @return [1, channels, h, w], normalised
     * @throws ImageException if the image is too small or too long
     */
    public HostTensor encode(Image8 image) {
        HostTensor planes = ReferenceImage.prepare(image);
        int height = (int) planes.shape().dim(2);
        int width = (int) planes.shape().dim(3);
        try (Frame _ = ops.frame()) {
            HostTensor mean = vae.encode(ops, ops.input(Planes.toChannelsLast(planes)), Probes.NONE).toHost();
            return Latents.unpack(latents.toTokens(mean), height / 16, width / 16);
        }
    }
}
