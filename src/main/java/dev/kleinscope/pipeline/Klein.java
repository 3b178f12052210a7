package dev.kleinscope.pipeline;

import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.dit.DitPoints;
import dev.kleinscope.model.text.Qwen3Config;
import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.model.vae.VaeConfig;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.WeightGroup;
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

    /** @throws dev.kleinscope.weights.ModelException if there is none or its weights do not fit */
    public TextEncoder textEncoder() {
        if (textEncoder == null || !textWeights.hold()) {
            ModelComponent component = files.component(ComponentKind.TEXT_ENCODER);
            WeightSource source = open(ComponentKind.TEXT_ENCODER);
            Qwen3Config config = component.config() == null ? Qwen3Config.infer(source) : Qwen3Config.from(component.config());
            textWeights = ops.weightGroup("the text encoder", elements(source), () -> textEncoder = new TextEncoder(source, config, ops));
        }
        return textEncoder;
    }

    /** Gives back the memory of a GPU that the text encoder takes; it is loaded again when a further prompt is encoded. */
    public void dropTextEncoder() {
        if (textWeights != null) {
            textWeights.close();
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
            WeightSource source = open(ComponentKind.VAE);
            VaeConfig config = component.config() == null ? VaeConfig.infer(source) : VaeConfig.from(component.config());
            vaeWeights = ops.weightGroup("the autoencoder", elements(source), () -> vae = new Vae(source, config, ops));
        }
        return vae;
    }

    /** This model's pictures: decoding, and reference images. */
    public Pictures pictures() {
        return new Pictures(ops, vae(), Pictures.DEFAULT_BUDGET_BYTES);
    }

    /** Prompt embeddings [1, tokens, 3 * hidden]. */
    public HostTensor encode(Prompt prompt) {
        TextEncoder encoder = textEncoder();
        try (Frame _ = ops.frame()) {
            return encoder.forward(ops, new int[][] {prompt.ids()}, new long[] {prompt.groups().valid()}, Probes.NONE).toHost();
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
