package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.pipeline.intervene.Interventions;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.HostTensor;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The model, the two prompts and the settings that both protocols run with.
 *
 * @param klein the model
 * @param safe the safe prompt
 * @param extreme the extreme prompt
 * @param denoising steps and guidance
 * @param maxTokens padded prompt length
 * @param interventions what is changed of the activations
 * @param intervened label of the only prompt that they are made for; null for both
 */
public record NormsRun(Klein klein, String safe, String extreme, Denoising denoising, int maxTokens, List<Intervention> interventions,
        String intervened) {

    /** Without interventions. */
    public NormsRun(Klein klein, String safe, String extreme, Denoising denoising, int maxTokens) {
        this(klein, safe, extreme, denoising, maxTokens, List.of(), null);
    }

    /** A prompt and what its positions hold, with the empty prompt's for the pass without guidance. */
    record Encoded(String label, Prompt prompt, HostTensor embeds, Prompt negative, HostTensor negativeEmbeds) {

        Map<Pass, TokenGroups> groups() {
            return Prompt.groups(prompt, negative);
        }
    }

    /** Both prompts, safe first. */
    List<Encoded> encode(Consumer<String> progress) {
        Prompt negative = null;
        HostTensor negativeEmbeds = null;
        if (denoising.guided()) {
            negative = klein.tokenizer().prompt("", maxTokens);
            negativeEmbeds = klein.encode(negative);
            progress.accept("encoded the empty prompt");
        }
        Prompt safePrompt = klein.tokenizer().prompt(safe, maxTokens);
        Prompt extremePrompt = klein.tokenizer().prompt(extreme, maxTokens);
        HostTensor safeEmbeds = klein.encode(safePrompt);
        progress.accept("encoded the safe prompt");
        HostTensor extremeEmbeds = klein.encode(extremePrompt);
        progress.accept("encoded the extreme prompt");
        klein.dropTextEncoder();
        return List.of(new Encoded("safe", safePrompt, safeEmbeds, negative, negativeEmbeds),
                new Encoded("extreme", extremePrompt, extremeEmbeds, negative, negativeEmbeds));
    }

    /** Denoises one prompt from one noise. */
    void denoise(Encoded prompt, HostTensor noise, Observer observer, Consumer<String> progress, String what) {
        Interventions changes = intervened == null || intervened.equals(prompt.label())
                ? new Interventions(interventions, prompt.groups()) : Interventions.NONE;
        klein.denoise(denoising, noise, prompt.embeds(), prompt.negativeEmbeds(), List.of(), changes, observer,
                (step, latents) -> progress.accept(prompt.label() + what + ", step " + (step + 1)));
    }

    /** How many times {@code progress} is called by a run over {@code noises} initial noises for each prompt. */
    public long progressSteps(int noises) {
        return (denoising.guided() ? 3 : 2) + 2L * noises * denoising.steps();
    }
}
