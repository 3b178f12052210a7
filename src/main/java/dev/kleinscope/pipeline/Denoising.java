package dev.kleinscope.pipeline;

import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.PositionIds;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.pipeline.intervene.Interventions;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The denoising loop. Source: diffusers {@code Flux2KleinPipeline.__call__}.
 *
 * @param steps Euler steps
 * @param guidance scale of classifier-free guidance; at most 1 means none
 * @param distilled whether the model was distilled from guided runs: then it is run once a step, whatever the scale
 */
public record Denoising(int steps, double guidance, boolean distilled) {

    /** Hears of each step's end. */
    @FunctionalInterface
    public interface StepListener {

        /**
         * @param step from 0
         * @param latents after the step, packed [batch, tokens, channels]
         */
        void step(int step, HostTensor latents);

        /** Whether the run may end after this step, with its latents. */
        default boolean enough(int step) {
            return false;
        }
    }

    /** As diffusers' pipelines have it where nothing is chosen: 4 steps, or 50 of a model that is not distilled; guidance 4. */
    public static Denoising of(boolean distilled, Integer steps, Double guidance) {
        return new Denoising(steps != null ? steps : distilled ? 4 : 50, guidance != null ? guidance : 4, distilled);
    }

    /** Whether each step also runs without the prompt. */
    public boolean guided() {
        return !distilled && guidance > 1;
    }

    /** Draws latents from noise and changes nothing on the way. */
    public HostTensor run(Ops ops, Dit dit, HostTensor noise, HostTensor promptEmbeds, HostTensor negativeEmbeds,
            List<HostTensor> references, Observer observer, StepListener listener) {
        return run(ops, dit, noise, promptEmbeds, negativeEmbeds, references, Interventions.NONE, observer, listener);
    }

    /**
     * Draws latents from noise.
     *
     * @param noise [batch, channels, H/16, W/16]
     * @param promptEmbeds [batch, txtTokens, textDim]
     * @param negativeEmbeds the same of the empty prompt; null unless {@link #guided}
     * @param references encoded reference images, each [1, channels, h, w]
     * @param interventions what is changed of the activations
     * @param observer sees every forward; may be null
     * @param listener hears of each step; may be null
     * @return [batch, channels, H/16, W/16]
     * @throws dev.kleinscope.probe.InterventionException before the first step if one cannot be made on this model and size, or when it
     *     is first to be made if its directions or the other run's activations do not fit
     */
    public HostTensor run(Ops ops, Dit dit, HostTensor noise, HostTensor promptEmbeds, HostTensor negativeEmbeds,
            List<HostTensor> references, Interventions interventions, Observer observer, StepListener listener) {
        int height = (int) noise.shape().dim(2);
        int width = (int) noise.shape().dim(3);
        Schedule schedule = Schedule.of((long) height * width, steps);
        HostTensor latents = Latents.pack(noise);
        PositionIds txtIds = PositionIds.text((int) promptEmbeds.shape().dim(1));
        PositionIds imgIds = imageIds(height, width, references);
        Interventions.Run changes = interventions.on(ops, dit.points(), steps, imgIds.tokens(), txtIds.tokens());
        try (Frame _ = ops.frame()) {
            Tensor cond = ops.input(promptEmbeds);
            Tensor uncond = guided() ? ops.input(negativeEmbeds) : null;
            Rope rope = dit.rope(ops, txtIds, imgIds);
            for (int step = 0; step < steps; step++) {
                try (Frame _ = ops.frame()) {
                    Tensor x = ops.input(latents);
                    Tensor tokens = references.isEmpty() ? x : ops.input(withReferences(latents, references));
                    float[] t = repeat(ops.scalar(ops.scalar(schedule.timestep(step)) / 1000f), latents);
                    float[] g = dit.config().guidanceEmbeds() ? repeat((float) guidance, latents) : null;
                    Tensor v = dit.forward(ops, tokens, cond, t, g, txtIds, imgIds, rope, changes.probes(observer, step, Pass.COND));
                    done(observer, step, Pass.COND);
                    if (guided()) {
                        Tensor without = dit.forward(ops, tokens, uncond, t, g, txtIds, imgIds, rope,
                                changes.probes(observer, step, Pass.UNCOND));
                        done(observer, step, Pass.UNCOND);
                        v = ops.lerp(without, v, guidance);
                    }
                    Tensor velocity = v.slice(1, 0, x.dim(1));
                    double dt = schedule.sigmas()[step + 1] - schedule.sigmas()[step];
                    latents = ops.addScaled(x, velocity, dt).named("latents").toHost();
                }
                if (listener != null) {
                    listener.step(step, latents);
                    if (listener.enough(step)) {
                        break;
                    }
                }
            }
        }
        return Latents.unpack(latents, height, width);
    }

    private static PositionIds imageIds(int height, int width, List<HostTensor> references) {
        List<PositionIds> parts = new ArrayList<>(List.of(PositionIds.image(height, width)));
        for (int i = 0; i < references.size(); i++) {
            parts.add(PositionIds.reference(i, (int) references.get(i).shape().dim(2), (int) references.get(i).shape().dim(3)));
        }
        return PositionIds.concat(parts);
    }

    /** Noise tokens followed by every reference's tokens, for each batch element. */
    private static HostTensor withReferences(HostTensor latents, List<HostTensor> references) {
        int batch = (int) latents.shape().dim(0);
        int channels = (int) latents.shape().dim(2);
        List<float[]> packed = references.stream().map(reference -> Latents.pack(reference).values()).toList();
        int own = latents.values().length / batch;
        int all = own + packed.stream().mapToInt(values -> values.length).sum();
        float[] out = new float[batch * all];
        for (int b = 0; b < batch; b++) {
            System.arraycopy(latents.values(), b * own, out, b * all, own);
            int at = b * all + own;
            for (float[] values : packed) {
                System.arraycopy(values, 0, out, at, values.length);
                at += values.length;
            }
        }
        return HostTensor.of("latents and references", out, batch, all / channels, channels);
    }

    private static void done(Observer observer, int step, Pass pass) {
        if (observer != null) {
            observer.done(step, pass);
        }
    }

    private static float[] repeat(float value, HostTensor latents) {
        float[] values = new float[(int) latents.shape().dim(0)];
        Arrays.fill(values, value);
        return values;
    }
}
