package dev.kleinscope.cli;

import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import java.util.Map;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What every command takes that runs the whole model: which one, where, from what noise, in how many steps. */
final class DrawingOptions {

    private static final Double SCRIPT_GUIDANCE = 3.5;

    @Mixin
    private ModelOptions model;

    @Mixin
    private BackendOptions backend;

    @Mixin
    private NoiseOptions noise;

    @Mixin
    private DistilledOption distillation;

    @Option(names = "--steps", paramLabel = "N",
            description = "Denoising steps. Default: 4, or 50 for a model that is not distilled; an original protocol takes its script's.")
    private Integer steps;

    @Option(names = "--guidance", paramLabel = "G",
            description = "Scale of classifier-free guidance; a distilled model ignores it. Default: 4, or 3.5 for an original protocol.")
    private Double guidance;

    @Option(names = "--max-tokens", paramLabel = "N", defaultValue = "512",
            description = "Padded length of the prompts in tokens. Default: ${DEFAULT-VALUE}.")
    private int maxTokens;

    ModelOptions model() {
        return model;
    }

    BackendOptions backend() {
        return backend;
    }

    /** Runs elsewhere from now on. */
    void on(BackendOptions other) {
        backend = other;
    }

    NoiseOptions noise() {
        return noise;
    }

    int maxTokens() {
        return maxTokens;
    }

    /** @throws UserInputException if a number is out of range */
    void check() {
        PromptChecks.tokens("--max-tokens", maxTokens);
        PromptChecks.steps(steps);
        PromptChecks.guidance(guidance);
    }

    /** Whether what a recorded run settles was given on the command line. */
    boolean stepsOrGuidanceGiven() {
        return steps != null || guidance != null;
    }

    /**
     * Opens the backend. The original scripts' arithmetic is checked to four digits and more, so they run in f32; but not where the
     * rounding of their own bf16 run was asked for, nor against the user's word.
     */
    Ops open(boolean original) {
        return original && backend.compat() == null ? backend.open(Precision.F32) : backend.open();
    }

    /** Size of pictures where nothing tells it. */
    PictureSize fallbackSize() {
        return model.given() ? NoiseOptions.DEFAULT_SIZE : NoiseOptions.DEMONSTRATION_SIZE;
    }

    /** @param scriptSteps what an original script takes, or null for the model's own */
    Denoising denoising(Klein klein, Console console, Integer scriptSteps) {
        boolean distilled = distillation.of(klein, console);
        return Denoising.of(distilled, steps != null ? steps : scriptSteps, guidance == null && scriptSteps != null ? SCRIPT_GUIDANCE : guidance);
    }

    /** Records the run, in the words of the options. */
    void record(Map<String, Object> parameters, Klein klein, Denoising denoising) {
        parameters.put("model", model.absoluteName());
        parameters.put("weights", klein.identity());
        parameters.put("backend", klein.backend());
        parameters.put("backend_name", backend.name());
        parameters.put("precision", backend.precision());
        if (backend.gemm() != null) {
            parameters.put("gemm", backend.gemm());
        }
        if (backend.compat() != null) {
            parameters.put("compat", backend.compat());
        }
        parameters.put("steps", denoising.steps());
        parameters.put("distilled", denoising.distilled());
        parameters.put("guidance", denoising.guidance());
        parameters.put("guided", denoising.guided());
        parameters.put("max_tokens", maxTokens);
    }

    /** Takes up what an image's metadata recorded. */
    void restore(PictureRecord recorded) {
        steps = recorded.steps();
        guidance = recorded.guidance();
        maxTokens = recorded.maxTokens();
        distillation.restore(recorded.distilled());
        if (recorded.latents() == null) {
            noise.restore(recorded.noise(), recorded.noiseType(), recorded.multiprocessors(), recorded.size());
        } else {
            noise.restoreLatents(java.nio.file.Path.of(recorded.latents()));
        }
        backend.restore(recorded.backend(), recorded.compat(), recorded.gemm(), recorded.precision());
        if (!model.given()) {
            model.restore(recorded.model());
        }
    }

    /** The prompts' length is that of embeddings from a file. */
    void tokensFrom(int tokens) {
        maxTokens = tokens;
    }
}
