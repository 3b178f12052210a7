package dev.kleinscope.pipeline;

import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.dit.DitMemory;
import dev.kleinscope.model.dit.DitPoints;
import dev.kleinscope.model.text.Qwen3Config;
import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.model.vae.VaeConfig;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.WeightGroup;
import dev.kleinscope.pipeline.intervene.Capture;
import dev.kleinscope.pipeline.intervene.Interventions;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.FileStamps;
import dev.kleinscope.weights.Fingerprint;
import dev.kleinscope.weights.ModelComponent;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.WeightSource;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

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
    private final Map<String, Object> identity = new LinkedHashMap<>();
    private final Map<ComponentKind, WeightSource> opened = new EnumMap<>(ComponentKind.class);
    private final Deque<Readings> readings = new ArrayDeque<>();
    private final FileStamps stamps = new FileStamps();
    private PromptTokenizer tokenizer;
    private TextEncoder textEncoder;
    private WeightGroup textWeights;
    private WeightGroup ditWeights;
    private WeightGroup vaeWeights;
    private DitConfig ditConfig;
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

    /** The text encoder's configuration, without loading it. */
    public Qwen3Config textConfig() {
        ModelComponent component = files.component(ComponentKind.TEXT_ENCODER);
        return component.config() == null ? Qwen3Config.infer(open(ComponentKind.TEXT_ENCODER)) : Qwen3Config.from(component.config());
    }

    /** @throws dev.kleinscope.weights.ModelException if there is none or its weights do not fit */
    public TextEncoder textEncoder() {
        if (textEncoder == null || !textWeights.hold()) {
            WeightSource source = open(ComponentKind.TEXT_ENCODER);
            Qwen3Config config = textConfig();
            textWeights = ops.weightGroup("the text encoder", elements(source), () -> textEncoder = new TextEncoder(source, config, ops));
        }
        return textEncoder;
    }

    /** Gives back the memory that the text encoder takes; it is loaded again when a further prompt is encoded. */
    public void dropTextEncoder() {
        if (textWeights != null) {
            textWeights.close();
        }
    }

    /** Tells that the last latents are drawn: a transformer whose pages are mapped leaves memory, and comes back if it is used again. */
    public void restTransformer() {
        if (ditWeights != null) {
            ditWeights.rest();
        }
    }

    /** The transformer's configuration, without loading it. */
    public DitConfig ditConfig() {
        if (ditConfig == null) {
            ModelComponent component = files.component(ComponentKind.TRANSFORMER);
            WeightSource source = open(ComponentKind.TRANSFORMER);
            ditConfig = component.config() == null ? DitConfig.infer(source) : DitConfig.from(component.config());
        }
        return ditConfig;
    }

    /** @throws dev.kleinscope.weights.ModelException if there is none or its weights do not fit */
    public Dit dit() {
        if (dit == null) {
            DitConfig config = ditConfig();
            WeightSource source = open(ComponentKind.TRANSFORMER);
            ditWeights = ops.weightGroup("the transformer", elements(source), () -> dit = new Dit(source, config, ops));
        }
        return dit;
    }

    /** What can be watched of the transformer. */
    public PointCatalog points() {
        return new PointCatalog(DitPoints.all(ditConfig()));
    }

    /** For an observer of this model that sums what it sees. The caller closes it. */
    public Readings readings() {
        return readings.isEmpty() ? new Readings(ops, readings) : readings.pop();
    }

    /** For keeping a run's activations, to be put into another run of this model. The caller closes it. */
    public Capture capture() {
        return new Capture(ops);
    }

    /** What the run computes on, for people. */
    public String backend() {
        return ops.describe();
    }

    /**
     * Draws latents with this model's transformer; see {@link Denoising#run}.
     *
     * @throws dev.kleinscope.ops.MemoryShortageException if the memory that may be used does not suffice
     * @throws dev.kleinscope.weights.ModelException if the model's files changed meanwhile
     */
    public HostTensor denoise(Denoising denoising, HostTensor noise, HostTensor promptEmbeds, HostTensor negativeEmbeds,
            List<HostTensor> references, Observer observer, Denoising.StepListener listener) {
        return denoise(denoising, noise, promptEmbeds, negativeEmbeds, references, Interventions.NONE, observer, listener);
    }

    /** The same with changes; see {@link Denoising#run}. */
    public HostTensor denoise(Denoising denoising, HostTensor noise, HostTensor promptEmbeds, HostTensor negativeEmbeds,
            List<HostTensor> references, Interventions interventions, Observer observer, Denoising.StepListener listener) {
        Dit model = dit();
        Shape shape = noise.shape();
        long tokens = shape.dim(2) * shape.dim(3) + promptEmbeds.shape().dim(1)
                + references.stream().mapToLong(reference -> reference.shape().dim(2) * reference.shape().dim(3)).sum();
        ditWeights.reserve("the transformer on a picture of " + shape.dim(3) * 16 + "x" + shape.dim(2) * 16,
                DitMemory.bytes(model.config(), shape.dim(0) * tokens));
        HostTensor latents = denoising.run(ops, model, noise, promptEmbeds, negativeEmbeds, references, interventions, observer, listener);
        stamps.requireUnchanged();
        return latents;
    }

    /** @throws dev.kleinscope.weights.ModelException if there is none or its weights do not fit */
    public Vae vae() {
        if (vae == null) {
            ModelComponent component = files.component(ComponentKind.VAE);
            WeightSource source = open(ComponentKind.VAE);
            VaeConfig config = component.config() == null ? VaeConfig.infer(source) : VaeConfig.from(component.config());
            vaeWeights = ops.weightGroup("the autoencoder", elements(source), () -> vae = new Vae(source, config, ops));
        }
        return vae;
    }

    /** This model's pictures: decoding, and reference images. */
    public Pictures pictures() {
        if (ditWeights != null) {
            ditWeights.pause();
        }
        return new Pictures(ops, vae(), Pictures.DEFAULT_BUDGET_BYTES);
    }

    /** Prompt embeddings [1, tokens, 3 * hidden]. */
    public HostTensor encode(Prompt prompt) {
        return encode(prompt, Probes.NONE);
    }

    /**
     * Prompt embeddings [1, tokens, 3 * hidden].
     *
     * @param probes see {@link TextEncoder#points}
     */
    public HostTensor encode(Prompt prompt, Probes probes) {
        TextEncoder encoder = textEncoder();
        try (Frame _ = ops.frame()) {
            HostTensor embeds = encoder.forward(ops, new int[][] {prompt.ids()}, new long[] {prompt.groups().valid()}, probes).toHost();
            stamps.requireUnchanged();
            return embeds;
        } finally {
            textWeights.spare();
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
        return Shape.of(1, ditConfig().inChannels(), height / 16, width / 16);
    }

    /** Notes a component's identity without loading it. */
    public void identify(ComponentKind kind) {
        open(kind);
    }

    private WeightSource open(ComponentKind kind) {
        return opened.computeIfAbsent(kind, _ -> open(files.component(kind), kind.name().toLowerCase(Locale.ROOT)));
    }

    private static long elements(WeightSource source) {
        return source.names().stream().mapToLong(name -> source.tensor(name).shape().elements()).sum();
    }

    private WeightSource open(ModelComponent component, String name) {
        WeightSource source = component.open();
        stamps.add(source);
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
        readings.forEach(Readings::free);
        readings.clear();
        Stream.of(textWeights, ditWeights, vaeWeights).filter(Objects::nonNull).forEach(WeightGroup::close);
        opened.values().forEach(WeightSource::close);
    }
}
