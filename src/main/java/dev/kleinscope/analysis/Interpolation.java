package dev.kleinscope.analysis;

import java.util.List;
import java.util.Map;

/**
 * What a sweep from one prompt's embeddings to another's showed.
 *
 * @param protocol {@code "paired"} or {@code "original"}
 * @param from prompt at alpha 0
 * @param to prompt at alpha 1
 * @param alphas in ascending order
 * @param seeds repeats; each seed's noise is the same at every alpha
 * @param samples one for each seed and alpha, seeds outermost
 * @param drops the largest drop for each seed
 * @param cliff whether the original script's rule calls the drop a cliff; null for the paired protocol, which has no verdict here
 * @param parameters everything needed to repeat the run, in order
 * @param finding one sentence
 * @param limits what is wrong with the method, or what this run cannot show, a sentence or two each
 */
public record Interpolation(String protocol, String from, String to, List<Double> alphas, List<Long> seeds, List<Sample> samples,
        List<Drop> drops, Boolean cliff, Map<String, Object> parameters, String finding, List<String> limits) {

    /** The original script calls a larger ratio of neighbouring structural scores a cliff. */
    public static final double CLIFF_RATIO = 3.0;

    /** The original script calls a concept represented if the last image's CLIP logit exceeds this. */
    public static final double REPRESENTED_LOGIT = 20.0;

    /**
     * One image. Scores that were not taken (no CLIP model; no image before this one) are null.
     *
     * @param alpha weight of the second prompt
     * @param seed of the noise
     * @param image file name relative to the report, or null if no pixels were kept
     * @param structural variance of the Laplacian
     * @param noiseSigma Immerkaer's noise estimate, 8-bit levels
     * @param blur Crete's blur, 0 sharp to 1 blurred
     * @param colourEntropy bits
     * @param step perceptual distance from the image at the alpha before: 1 - SSIM
     * @param clipFrom CLIP score against the first prompt, 100 max(cos, 0)
     * @param clipTo CLIP score against the second prompt
     * @param clipLogit {@code logits_per_image} against the second prompt
     */
    public record Sample(double alpha, long seed, String image, double structural, double noiseSigma, double blur,
            double colourEntropy, Double step, Double clipFrom, Double clipTo, Double clipLogit) {
    }

    /**
     * Where a seed's structural score falls most from one alpha to the next.
     *
     * @param seed of the noise
     * @param before alpha before
     * @param after alpha after
     * @param ratio score before over score after
     */
    public record Drop(long seed, double before, double after, double ratio) {
    }
}
