package dev.kleinscope.pipeline.validate;

import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Latents;
import dev.kleinscope.pipeline.Pictures;
import dev.kleinscope.pipeline.Schedule;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Runs a case of kind {@code pipeline}: from noise and prompt embeddings to the image. */
public final class PipelineCase {

    private PipelineCase() {
    }

    /** @return where the case's prompts tell: the embeddings; then the latents after each step, then the image */
    public static List<TensorCheck> run(ReferenceCase reference, Klein klein) {
        List<TensorCheck> checks = new ArrayList<>();
        HostTensor noise = reference.values("in.latents", 4);
        HostTensor embeds = reference.values("in.prompt_embeds", 3);
        Denoising denoising = new Denoising((int) number(reference, "steps", 1, Schedule.MAX_STEPS),
                number(reference, "guidance", 0, 1000), Boolean.parseBoolean(text(reference, "distilled")));
        HostTensor negative = denoising.guided() ? reference.values("in.negative_prompt_embeds", 3) : null;
        try {
            embeddings(reference, klein, embeds, negative, checks);
            Pictures pictures = klein.pictures();
            HostTensor latents = klein.denoise(denoising, noise, embeds, negative, references(reference, pictures), null,
                    (step, after) -> {
                        String name = "step." + step + ".latents";
                        if (reference.has(name)) {
                            checks.add(TensorCheck.of(name, after, reference.values(name)));
                        }
                    });
            HostTensor image = Latents.pack(pictures.decode(latents));
            HostTensor expected = reference.values("out.image", 3);
            if (image.values().length != expected.values().length) {
                throw new ModelException(reference.path() + ": out.image: expected " + expected.shape() + ", found " + image.shape()
                        + " pixels");
            }
            checks.add(TensorCheck.of("out.image", new HostTensor("image", expected.shape(), image.values()), expected));
            return checks;
        } catch (IllegalArgumentException e) {
            throw new ModelException(reference.path() + " does not fit the model: " + e.getMessage(), e);
        }
    }

    /** The encoder's own embeddings of the prompts that the metadata names; blended ones of a sweep included. */
    private static void embeddings(ReferenceCase reference, Klein klein, HostTensor embeds, HostTensor negative, List<TensorCheck> checks) {
        if (!klein.hasTextEncoder()) {
            return;
        }
        int tokens = (int) embeds.shape().dim(1);
        String prompt = reference.metadata("prompt");
        if (prompt != null) {
            checks.add(TensorCheck.of("in.prompt_embeds", encode(klein, prompt, tokens), embeds));
        } else if (reference.metadata("prompt.from") != null && reference.metadata("prompt.to") != null) {
            double alpha = number(reference, "alpha", 0, 1);
            HostTensor blend = klein.blend(encode(klein, reference.metadata("prompt.from"), tokens),
                    encode(klein, reference.metadata("prompt.to"), tokens), alpha);
            checks.add(TensorCheck.of("in.prompt_embeds", blend, embeds));
        }
        if (negative != null) {
            checks.add(TensorCheck.of("in.negative_prompt_embeds", encode(klein, "", tokens), negative));
        }
    }

    private static HostTensor encode(Klein klein, String prompt, int tokens) {
        return klein.encode(klein.tokenizer().prompt(prompt, tokens));
    }

    /** Images that the metadata names, comma-separated, beside the case. */
    private static List<HostTensor> references(ReferenceCase reference, Pictures pictures) {
        List<HostTensor> references = new ArrayList<>();
        String names = reference.metadata("image");
        if (names != null) {
            for (String name : names.split(",")) {
                Path file = reference.path().toAbsolutePath().getParent().resolve(name.strip()).normalize();
                if (name.isBlank() || !file.getParent().equals(reference.path().toAbsolutePath().normalize().getParent())) {
                    throw new ModelException(reference.path() + ": its image must lie beside it; the metadata names another place");
                }
                references.add(pictures.encode(ImageFile.read(file)));
            }
        }
        return references;
    }

    private static String text(ReferenceCase reference, String key) {
        String value = reference.metadata(key);
        if (value == null) {
            throw new ModelException(reference.path() + " is no complete \"pipeline\" case: its metadata has no \"" + key + "\"");
        }
        return value;
    }

    private static double number(ReferenceCase reference, String key, double least, double most) {
        try {
            double value = Double.parseDouble(text(reference, key));
            if (value >= least && value <= most) {
                return value;
            }
        } catch (NumberFormatException _) {
            // falls through to the same message
        }
        throw new ModelException(reference.path() + ": metadata \"" + key + "\": expected a number from " + least + " to " + most);
    }
}
