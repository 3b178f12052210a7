package dev.kleinscope.pipeline;

import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.text.Qwen3Config;
import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.model.vae.VaeConfig;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.Fingerprint;
import dev.kleinscope.weights.ModelComponent;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.WeightSource;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A FLUX.2-klein model on a backend: tokenizer, text encoder, transformer and autoencoder, each opened when first needed.
 *
 * <p>Not safe for use by several threads at once.
 */
public final class Klein implements AutoCloseable {

    /** Largest picture side in pixels; position ids and buffers stay far from overflow. */
    public static final int MAX_SIDE = 4096;

    private final ModelFiles files;
    private final Ops ops;
    private final List<WeightSource> sources = new ArrayList<>();
    private final Map<String, Object> identity = new LinkedHashMap<>();
    private PromptTokenizer tokenizer;
    private TextEncoder textEncoder;
    private Dit dit;
    private Vae vae;

    public Klein(ModelFiles files, Ops ops) {
        this.files = files;
        this.ops = ops;
    }

    /** Whether the model says that it was distilled; null if it does not tell. */
    public Boolean distilled() {
        return files.isDistilled();
    }

    /** What was opened: each component's place and the {@link Fingerprint} of its weights. */
    public Map<String, Object> identity() {
        return new LinkedHashMap<>(identity);
    }

    /** @throws dev.kleinscope.weights.ModelException if there is none or it cannot be read */
    public PromptTokenizer tokenizer() {
        if (tokenizer == null) {
            tokenizer = PromptTokenizer.open(files.component(ComponentKind.TOKENIZER).location());
        }
        return tokenizer;
    }

    /** @throws dev.kleinscope.weights.ModelException if there is none or its weights do not fit */
    public TextEncoder textEncoder() {
        if (textEncoder == null) {
            ModelComponent component = files.component(ComponentKind.TEXT_ENCODER);
            WeightSource source = open(component, "text_encoder");
            textEncoder = new TextEncoder(source,
                    component.config() == null ? Qwen3Config.infer(source) : Qwen3Config.from(component.config()), ops);
        }
        return textEncoder;
    }

    /** @throws dev.kleinscope.weights.ModelException if there is none or its weights do not fit */
    public Dit dit() {
        if (dit == null) {
            ModelComponent component = files.component(ComponentKind.TRANSFORMER);
            WeightSource source = open(component, "transformer");
            dit = new Dit(source, component.config() == null ? DitConfig.infer(source) : DitConfig.from(component.config()), ops);
        }
        return dit;
    }

    /** What can be watched of the transformer. */
    public PointCatalog points() {
        return dit().points();
    }

    /** What the run computes on, for people. */
    public String backend() {
        return ops.describe();
    }

    /** Draws latents with this model's transformer; see {@link Denoising#run}. */
    public HostTensor denoise(Denoising denoising, HostTensor noise, HostTensor promptEmbeds, HostTensor negativeEmbeds,
            List<HostTensor> references, Observer observer, Denoising.StepListener listener) {
        return denoising.run(ops, dit(), noise, promptEmbeds, negativeEmbeds, references, observer, listener);
    }

    /** @throws dev.kleinscope.weights.ModelException if there is none or its weights do not fit */
    public Vae vae() {
        if (vae == null) {
            ModelComponent component = files.component(ComponentKind.VAE);
            WeightSource source = open(component, "vae");
            vae = new Vae(source, component.config() == null ? VaeConfig.infer(source) : VaeConfig.from(component.config()), ops);
        }
        return vae;
    }

    /** This model's pictures: decoding, and reference images. */
    public Pictures pictures() {
        return new Pictures(ops, vae(), ops.room(Pictures.DEFAULT_BUDGET_BYTES));
    }

    /** Prompt embeddings [1, tokens, 3 * hidden]. */
    public HostTensor encode(Prompt prompt) {
        TextEncoder encoder = textEncoder();
        try (Frame _ = ops.frame()) {
            return encoder.forward(ops, new int[][] {prompt.ids()}, new long[] {prompt.groups().valid()}, Probes.NONE).toHost();
        }
    }

    /** {@code (1 - alpha) from + alpha to}. */
    public HostTensor blend(HostTensor from, HostTensor to, double alpha) {
        try (Frame _ = ops.frame()) {
            return ops.lerp(ops.input(from), ops.input(to), alpha).toHost();
        }
    }

    /** Whether prompts can be encoded. */
    public boolean hasTextEncoder() {
        return files.has(ComponentKind.TEXT_ENCODER) && files.has(ComponentKind.TOKENIZER);
    }

    /** Shape of the latents of a picture. */
    public Shape latentShape(int width, int height) {
        return Shape.of(1, dit().config().inChannels(), height / 16, width / 16);
    }

    private WeightSource open(ModelComponent component, String name) {
        WeightSource source = component.open();
        sources.add(source);
        Map<String, Object> identified = new LinkedHashMap<>();
        identified.put("path", component.location().toAbsolutePath().normalize().toString());
        identified.put("fingerprint", Fingerprint.of(source));
        identity.put(name, identified);
        return source;
    }

    @Override
    public void close() {
        if (tokenizer != null) {
            tokenizer.close();
        }
        sources.forEach(WeightSource::close);
    }
}
