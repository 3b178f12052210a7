package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.HostTensor;
import java.util.EnumMap;
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
 */
public record NormsRun(Klein klein, String safe, String extreme, Denoising denoising, int maxTokens) {

    /** A prompt and what its positions hold, with the empty prompt's for the pass without guidance. */
    record Encoded(String label, Prompt prompt, HostTensor embeds, Prompt negative, HostTensor negativeEmbeds) {

        Map<Pass, TokenGroups> groups() {
            Map<Pass, TokenGroups> groups = new EnumMap<>(Pass.class);
            groups.put(Pass.COND, prompt.groups());
            groups.put(Pass.UNCOND, negative == null ? prompt.groups() : negative.groups());
            return groups;
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
        klein.denoise(denoising, noise, prompt.embeds(), prompt.negativeEmbeds(), List.of(), observer,
                (step, latents) -> progress.accept(prompt.label() + what + ", step " + (step + 1)));
    }

    /** How many times {@code progress} is called by a run over {@code noises} initial noises for each prompt. */
    public long progressSteps(int noises) {
        return (denoising.guided() ? 3 : 2) + 2L * noises * denoising.steps();
    }
}
