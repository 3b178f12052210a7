package dev.kleinscope.pipeline;

/**
 * Noise levels of a run, from 1 (noise) to 0 (image).
 * Source: diffusers {@code compute_empirical_mu} and {@code FlowMatchEulerDiscreteScheduler} with exponential dynamic shifting.
 *
 * @param mu shift of the schedule towards noise
 * @param sigmas steps + 1 levels, the last 0; f32 as in the peer
 */
public record Schedule(double mu, float[] sigmas) {

    /** Most steps a schedule may have; the peer was trained on 1000 levels. */
    public static final int MAX_STEPS = 1000;

    /**
     * @param noiseTokens tokens of the image being drawn; reference tokens are not counted
     * @param steps denoising steps, at least 1
     */
    public static Schedule of(long noiseTokens, int steps) {
        double mu = mu(noiseTokens, steps);
        float shift = (float) Math.exp(mu);
        float[] sigmas = new float[steps + 1];
        for (int i = 0; i < steps; i++) {
            float linear = (float) (steps == 1 ? 1 : 1 + i * ((1.0 / steps - 1) / (steps - 1)));
            sigmas[i] = shift / (shift + (1 / linear - 1));
        }
        return new Schedule(mu, sigmas);
    }

    private static double mu(long noiseTokens, int steps) {
        double m10 = 8.73809524e-05 * noiseTokens + 1.89833333;
        double m200 = 0.00016927 * noiseTokens + 0.45666666;
        if (noiseTokens > 4300) {
            return m200;
        }
        double a = (m200 - m10) / 190.0;
        return a * steps + m200 - 200.0 * a;
    }

    public int steps() {
        return sigmas.length - 1;
    }

    /** Timestep as the schedule counts it, 0..1000. */
    public float timestep(int step) {
        return sigmas[step] * 1000f;
    }
}
