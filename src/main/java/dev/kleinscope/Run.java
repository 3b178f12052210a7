package dev.kleinscope;

import dev.kleinscope.analysis.NormsProbe;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.PromptTokenizer;
import dev.kleinscope.pipeline.Schedule;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.pipeline.intervene.InterventionGrammar;
import dev.kleinscope.pipeline.intervene.Interventions;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One picture's way from noise: settings first, then a result. The transformer runs once, when the first result is asked for; the others
 * are made of what it left, and settings and watchers come too late then.
 *
 * <p>Without settings a run is as {@code kleinscope generate} has it: 512x512, seed 1 of torch's generator on the CPU, 4 steps of a
 * distilled model or 50 with guidance 4 of another, prompts padded to 512 tokens. A run is used in the thread that owns its model.
 */
public final class Run {

    private static final int DEFAULT_SIDE = 512;
    private static final int DEFAULT_TOKENS = 512;

    private final Kleinscope model;
    private final String prompt;
    private final HostTensor embeds;
    private final Watching watching = new Watching();
    private final List<Intervention> interventions = new ArrayList<>();
    private final List<Image8> references = new ArrayList<>();
    private int width = DEFAULT_SIDE;
    private int height = DEFAULT_SIDE;
    private long seed = 1;
    private HostTensor noise;
    private int tokens = DEFAULT_TOKENS;
    private String negative = "";
    private Integer steps;
    private Double guidance;
    private Boolean distilled;
    private boolean begun;
    private HostTensor latents;

    Run(Kleinscope model, String prompt, HostTensor embeds) {
        this.model = model;
        this.prompt = prompt;
        this.embeds = embeds;
    }

    /**
     * Sets the picture's size.
     *
     * @param columns width in pixels, a multiple of 16
     * @param rows height in pixels, a multiple of 16
     * @return this
     * @throws IllegalArgumentException if a side is none, or over {@link Klein#MAX_SIDE}
     */
    public Run size(int columns, int rows) {
        require(columns >= 16 && columns <= Klein.MAX_SIDE && columns % 16 == 0, "width", columns, "a multiple of 16 to " + Klein.MAX_SIDE);
        require(rows >= 16 && rows <= Klein.MAX_SIDE && rows % 16 == 0, "height", rows, "a multiple of 16 to " + Klein.MAX_SIDE);
        requireUnbegun();
        width = columns;
        height = rows;
        return this;
    }

    /**
     * Sets the number of denoising steps.
     *
     * @param count 1 to {@link Schedule#MAX_STEPS}
     * @return this
     */
    public Run steps(int count) {
        require(count >= 1 && count <= Schedule.MAX_STEPS, "steps", count, "1 to " + Schedule.MAX_STEPS);
        requireUnbegun();
        steps = count;
        return this;
    }

    /**
     * Sets the seed of the initial noise, as {@code torch.Generator().manual_seed} takes it.
     *
     * @param value any
     * @return this
     */
    public Run seed(long value) {
        requireUnbegun();
        seed = value;
        return this;
    }

    /**
     * Starts from this noise, whatever seed and size say.
     *
     * @param latents [1, channels, H/16, W/16]
     * @return this
     * @throws IllegalArgumentException if the model's latents have another shape
     */
    public Run noise(HostTensor latents) {
        Shape shape = latents.shape();
        long channels = model.klein().ditConfig().inChannels();
        require(shape.rank() == 4 && shape.dim(0) == 1 && shape.dim(1) == channels && Math.min(shape.dim(2), shape.dim(3)) >= 1
                && Math.max(shape.dim(2), shape.dim(3)) <= Klein.MAX_SIDE / 16, "noise", shape, "[1, " + channels + ", H/16, W/16]");
        requireUnbegun();
        noise = latents;
        return this;
    }

    /**
     * Sets the scale of classifier-free guidance; a distilled model takes none.
     *
     * @param scale 0 to 1000; at most 1 means none
     * @return this
     */
    public Run guidance(double scale) {
        require(scale >= 0 && scale <= 1000, "guidance", scale, "0 to 1000");
        requireUnbegun();
        guidance = scale;
        return this;
    }

    /**
     * Sets the prompt of the pass that guidance leads away from; otherwise the empty one.
     *
     * @param text as a user writes it
     * @return this
     */
    public Run negative(String text) {
        requireUnbegun();
        negative = text;
        return this;
    }

    /**
     * Says whether the model was distilled and so needs no guidance, whatever its folder says.
     *
     * @param value true for klein, false for klein base
     * @return this
     */
    public Run distilled(boolean value) {
        requireUnbegun();
        distilled = value;
        return this;
    }

    /**
     * Sets the length to which prompts are padded.
     *
     * @param count {@link PromptTokenizer#MIN_TOKENS} to {@link PromptTokenizer#MAX_TOKENS}
     * @return this
     */
    public Run maxTokens(int count) {
        require(count >= PromptTokenizer.MIN_TOKENS && count <= PromptTokenizer.MAX_TOKENS, "tokens", count,
                PromptTokenizer.MIN_TOKENS + " to " + PromptTokenizer.MAX_TOKENS);
        requireUnbegun();
        tokens = count;
        return this;
    }

    /**
     * Adds a reference image.
     *
     * @param image as {@link ImageFile#read} gives it
     * @return this
     */
    public Run reference(Image8 image) {
        requireUnbegun();
        references.add(image);
        return this;
    }

    /**
     * Watches points of the transformer. Watching changes no bit of the result.
     *
     * @param glob a point's name, alias or glob, such as {@code transformer_blocks.*.img}
     * @param watcher sees each of them once a forward
     * @return this
     * @throws IllegalArgumentException if nothing is called so, with the nearest names there are
     */
    public Run watch(String glob, Watcher watcher) {
        requireUnbegun();
        watching.add(names(glob), watcher);
        return this;
    }

    /**
     * Watches by an observer that says itself what it wants, and hears of each forward's end.
     *
     * @param observer such as {@link NormsProbe}
     * @return this
     */
    public Run watch(Observer observer) {
        requireUnbegun();
        watching.add(observer);
        return this;
    }

    /**
     * Changes activations on the way, before watchers see them; several changes are made in the order in which they are added.
     *
     * @param intervention such as {@code Intervention.at("transformer_blocks.4.img", new Change.Scale(0.5)).steps("0-1")}
     * @return this
     * @throws IllegalArgumentException if no point is called so, with the nearest names there are; what else does not fit is told when the
     *     model runs
     */
    public Run intervene(Intervention intervention) {
        requireUnbegun();
        model.points().select(intervention.points());
        interventions.add(intervention);
        return this;
    }

    /**
     * Changes activations as {@code --intervene} does.
     *
     * @param change such as {@code "transformer_blocks.4.img:scale=0.5,steps=0-1"}; see {@link InterventionGrammar}
     * @return this
     * @throws IllegalArgumentException telling what was expected
     */
    public Run intervene(String change) {
        return intervene(new InterventionGrammar(model::file, Kleinscope::absolute).parse(change));
    }

    /**
     * Runs and takes the L2 norms of whole activations, summed where they are.
     *
     * @param globs names, aliases or globs of points
     * @return by point, in the order of computation, one norm a forward: of each step, with guidance first with the prompt, then without
     * @throws IllegalArgumentException if nothing is called so, with the nearest names there are
     */
    public Map<String, List<Double>> norms(String... globs) {
        requireUnbegun();
        Set<String> points = names(globs);
        try (NormsProbe probe = new NormsProbe(model.klein().readings(), points)) {
            watch(probe).latents();
            Map<String, List<Double>> norms = new LinkedHashMap<>();
            points.forEach(point -> norms.put(point, probe.norms(point)));
            return norms;
        }
    }

    /**
     * Runs, unless that was done.
     *
     * @return [1, channels, H/16, W/16]
     * @throws dev.kleinscope.weights.ModelException if a part of the model that is needed is missing or does not fit
     * @throws IllegalStateException if a former try was broken off
     */
    public HostTensor latents() {
        if (latents == null) {
            requireUnbegun();
            Klein klein = model.begin();
            try {
                begun = true;
                latents = draw(klein);
            } finally {
                model.end();
            }
        }
        return latents;
    }

    /**
     * Decodes the latents.
     *
     * @return the picture
     * @throws dev.kleinscope.weights.ModelException if a part of the model that is needed is missing or does not fit
     */
    public Image8 image() {
        HostTensor drawn = latents();
        return Image8.ofUnit(model.klein().pictures().decode(drawn));
    }

    /**
     * Writes the picture as PNG, whole or not at all.
     *
     * @param file replaced if it exists
     * @throws java.io.UncheckedIOException if it cannot be written
     */
    public void png(Path file) {
        ImageFile.writePng(file, image(), prompt == null ? Map.of() : Map.of("prompt", prompt));
    }

    private HostTensor draw(Klein klein) {
        Denoising denoising = Denoising.of(distilled != null ? distilled : !Boolean.FALSE.equals(klein.distilled()), steps, guidance);
        Prompt words = prompt == null ? null : klein.tokenizer().prompt(prompt, tokens);
        HostTensor cond = words == null ? embeds : klein.encode(words);
        Prompt others = denoising.guided() ? klein.tokenizer().prompt(negative, (int) cond.shape().dim(1)) : null;
        HostTensor uncond = others == null ? null : klein.encode(others);
        Interventions changes = new Interventions(interventions, Prompt.groups(words, others));
        List<HostTensor> encoded = references.stream().map(image -> klein.pictures().encode(image)).toList();
        HostTensor start = noise != null ? noise : initialNoise(klein.latentShape(width, height));
        return klein.denoise(denoising, start, cond, uncond, encoded, changes, watching.none() ? null : watching, null);
    }

    private HostTensor initialNoise(Shape shape) {
        return new HostTensor("latents", shape,
                TorchNoise.randn(TorchNoise.Kind.TORCH_CPU, TorchNoise.Type.F32, seed, shape.dims()));
    }

    private Set<String> names(String... globs) {
        Set<String> names = new LinkedHashSet<>();
        model.points().select(List.of(globs)).stream().map(Point::name).forEach(names::add);
        return names;
    }

    private void requireUnbegun() {
        if (begun) {
            throw new IllegalStateException(latents == null ? "this run was broken off: prepare another" : "this run is done: prepare another");
        }
    }

    static void require(boolean holds, String what, Object found, String expected) {
        if (!holds) {
            throw new IllegalArgumentException(what + " " + found + ": expected " + expected);
        }
    }
}
