package dev.kleinscope;

import dev.kleinscope.backend.cpu.Gemm;
import dev.kleinscope.backend.cuda.Precision;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.PromptTokenizer;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.Safetensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * A FLUX.2-klein model to run and to watch: where a program begins.
 *
 * <pre>{@code
 * try (Kleinscope model = Kleinscope.open(folder).backend("cpu")) {
 *     model.run("a red cube on a table").watch("transformer_blocks.*.img",
 *             (step, pass, point, tensor) -> System.out.println(step + " " + tensor)).latents();
 * }
 * }</pre>
 *
 * <p>Nothing is loaded before it is needed; what computes is opened with the first run, or whatever else asks the model. A model
 * belongs to the thread that opened it, which alone may use and close it, one run at a time: for runs side by side open one in each
 * thread. Weights are mapped, so that models of the same files share their memory on the host.
 */
public final class Kleinscope implements AutoCloseable {

    private final ModelFiles files;
    private final Thread owner = Thread.currentThread();
    private final Map<String, Safetensors> read = new HashMap<>();
    private BackendSettings settings = BackendSettings.AUTO;
    private OpenedBackend opened;
    private Klein klein;
    private boolean closed;
    private boolean running;

    private Kleinscope(ModelFiles files) {
        this.files = files;
    }

    /**
     * Opens a model. Reads configurations and headers, no weights.
     *
     * @param model a model folder as diffusers writes it, a component's folder, or a single file
     * @return the model, to be closed by the caller
     * @throws dev.kleinscope.weights.ModelException if there is nothing usable
     */
    public static Kleinscope open(Path model) {
        return open(model.toString());
    }

    /**
     * Opens a model, by path or by name.
     *
     * @param model a path as in {@link #open(Path)}, or a name like {@code black-forest-labs/FLUX.2-klein-4B} that was downloaded to
     *     Hugging Face's cache
     * @return the model, to be closed by the caller
     * @throws dev.kleinscope.weights.ModelException if there is nothing usable
     */
    public static Kleinscope open(String model) {
        return new Kleinscope(ModelFiles.resolve(model));
    }

    /**
     * Chooses what computes; otherwise a GPU where there is one, else the processor.
     *
     * @param name {@code auto}, {@code cpu}, {@code cuda} or {@code reference}
     * @return this
     * @throws IllegalArgumentException if it is another, naming those there are
     * @throws IllegalStateException if a backend is in use already
     */
    public Kleinscope backend(String name) {
        Backend backend = named("backend", name, Backend.values());
        return with(new BackendSettings(backend, settings.precision(), settings.gemm(), settings.cudnn(), settings.rounding(), settings.threads()));
    }

    /**
     * Chooses the arithmetic; otherwise bf16 on a GPU and f32 elsewhere.
     *
     * @param name {@code f32} or {@code bf16}
     * @return this
     * @throws IllegalArgumentException if it is another, naming those there are
     * @throws IllegalStateException if a backend is in use already
     */
    public Kleinscope precision(String name) {
        Precision precision = named("precision", name, Precision.values());
        return with(new BackendSettings(settings.backend(), precision, settings.gemm(), settings.cudnn(), settings.rounding(), settings.threads()));
    }

    /**
     * Chooses what multiplies matrices on the processor; otherwise oneDNN where it can be used.
     *
     * @param name {@code onednn} or {@code java}
     * @return this
     * @throws IllegalArgumentException if it is another, naming those there are
     * @throws IllegalStateException if a backend is in use already
     */
    public Kleinscope gemm(String name) {
        Gemm gemm = named("gemm", name, Gemm.values());
        return with(new BackendSettings(settings.backend(), settings.precision(), gemm, settings.cudnn(), settings.rounding(), settings.threads()));
    }

    /**
     * Prepares a run with a prompt; it begins when one of its results is asked for.
     *
     * @param prompt as a user writes it
     * @return a run with the model's own settings
     * @throws IllegalArgumentException if the prompt is blank or no valid Unicode
     */
    public Run run(String prompt) {
        if (prompt.isBlank() || !PromptTokenizer.encodable(prompt)) {
            throw new IllegalArgumentException("the prompt is " + (prompt.isBlank() ? "empty; write one" : "not valid Unicode"));
        }
        requireOwner();
        return new Run(this, prompt, null);
    }

    /**
     * Prepares a run with embeddings that {@link #encode} gave, or that were computed from such.
     *
     * @param embeds [1, tokens, textDim]
     * @return a run with the model's own settings
     * @throws IllegalArgumentException if they have another shape
     */
    public Run run(HostTensor embeds) {
        long width = klein().ditConfig().textDim();
        if (embeds.shape().rank() != 3 || embeds.shape().dim(0) != 1 || embeds.shape().dim(2) != width) {
            throw new IllegalArgumentException("prompt embeddings: expected [1, tokens, " + width + "], found " + embeds.shape());
        }
        return new Run(this, null, embeds);
    }

    /**
     * Encodes a prompt, for runs that share it or start from something computed of it.
     *
     * @param prompt as a user writes it; may be empty
     * @param tokens padded length; the models were trained with 512
     * @return [1, tokens, textDim]
     * @throws dev.kleinscope.weights.ModelException if the model has no text encoder or tokenizer
     */
    public HostTensor encode(String prompt, int tokens) {
        Run.require(tokens >= PromptTokenizer.MIN_TOKENS && tokens <= PromptTokenizer.MAX_TOKENS, "tokens", tokens,
                PromptTokenizer.MIN_TOKENS + " to " + PromptTokenizer.MAX_TOKENS);
        return klein().encode(klein().tokenizer().prompt(prompt, tokens));
    }

    /**
     * What of the transformer can be watched.
     *
     * @return its points, in the order of computation
     */
    public PointCatalog points() {
        return klein().points();
    }

    /**
     * What the model runs on.
     *
     * @return one line, for people
     */
    public String describe() {
        klein();
        return opened.describe();
    }

    /**
     * The model as the commands use it, for what has no shorter way here. It is closed with this.
     *
     * @return the model on its backend
     * @throws BackendUnavailableException if the backend that was chosen is not to be had here, with the reason
     * @throws IllegalArgumentException if the settings do not go together
     */
    public Klein klein() {
        requireOwner();
        if (klein == null) {
            opened = settings.open();
            klein = new Klein(files, opened.ops());
        }
        return klein;
    }

    /** A file that a change reads, open until the model closes. */
    Safetensors file(String path) {
        requireOwner();
        return read.computeIfAbsent(absolute(path), absolute -> Safetensors.open(Path.of(absolute)));
    }

    static String absolute(String path) {
        return Path.of(path).toAbsolutePath().normalize().toString();
    }

    /** Takes the model for a run, in which observers may look but not run it again. */
    Klein begin() {
        Klein model = klein();
        if (running) {
            throw new IllegalStateException("a run of this model is under way: an observer cannot start another");
        }
        running = true;
        return model;
    }

    void end() {
        running = false;
    }

    private Kleinscope with(BackendSettings chosen) {
        requireOwner();
        if (opened != null) {
            throw new IllegalStateException("the model runs on " + opened.backend() + " already: choose before the first run, or open it again");
        }
        settings = chosen;
        return this;
    }

    private void requireOwner() {
        if (Thread.currentThread() != owner) {
            throw new WrongThreadException("this model belongs to thread " + owner.getName() + ", and " + Thread.currentThread().getName()
                    + " asks: open one in each thread");
        }
        if (closed) {
            throw new IllegalStateException("the model is closed");
        }
    }

    private static <E extends Enum<E>> E named(String setting, String name, E[] known) {
        return Arrays.stream(known).filter(each -> each.toString().equals(name.toLowerCase(Locale.ROOT))).findFirst()
                .orElseThrow(() -> new IllegalArgumentException(setting + " \"" + name + "\": expected one of "
                        + String.join(", ", Arrays.stream(known).map(Enum::toString).toList())));
    }

    /** Gives back memory and devices; closing again does nothing. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        if (running) {
            throw new IllegalStateException("a run of this model is under way: an observer cannot close it");
        }
        requireOwner();
        closed = true;
        try (OpenedBackend _ = opened; Klein _ = klein) {
            klein = null;
            read.values().forEach(Safetensors::close);
        }
    }
}
