package dev.kleinscope.pipeline.dump;

import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.dit.DitPoints;
import dev.kleinscope.model.text.Qwen3Config;
import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Set;
import java.util.TreeSet;

/**
 * What a dump of a run holds, all of it known before the run begins.
 *
 * @param tensors in the order of computation, which is that of the file
 * @param points that the models are watched at
 * @param steps that are kept
 */
public record DumpPlan(List<Declaration> tensors, Set<String> points, NavigableSet<Integer> steps) {

    /** What the run starts from. They come first, in F32, whatever else is stored. */
    public static final String NOISE = "in.latents";
    public static final String PROMPT = "in.prompt_embeds";
    public static final String NEGATIVE = "in.negative_prompt_embeds";

    /** The latents after a step [batch, tokens, channels], without those of reference images. */
    static final String LATENTS = "latents";

    /** Before the names of the text encoder's points. */
    static final String TEXT = "text_encoder.";

    /** Each of two buffers is at most this large, though a block may be larger. */
    private static final long MOST_BUFFER_BYTES = 32L << 20;

    public DumpPlan {
        tensors = List.copyOf(tensors);
        points = Set.copyOf(points);
    }

    /**
     * What can be dumped of a model: the text encoder's hidden states, the transformer's points, and the latents after each step.
     *
     * @param text null to leave the text encoder out
     */
    public static PointCatalog catalog(DitConfig config, Qwen3Config text) {
        List<Point> points = new ArrayList<>();
        if (text != null) {
            TextEncoder.points(text).points().stream().filter(point -> point.name().startsWith("hidden_states."))
                    .forEach(point -> points.add(new Point(TEXT + point.name(), Point.Role.INNER, Point.Rows.TXT, point.shape())));
        }
        points.addAll(DitPoints.all(config));
        points.add(new Point(LATENTS, Point.Role.INNER, Point.Rows.IMG, "[B, img, " + config.inChannels() + "]"));
        return new PointCatalog(points);
    }

    /**
     * Plans a dump.
     *
     * @param points selected of {@link #catalog}, in the order of computation
     * @param steps from 0
     * @param noise [batch, channels, H/16, W/16]
     * @param references encoded reference images, each [1, channels, h, w]
     * @param promptEmbeds shape, [batch, tokens, textDim]
     * @param stored F32, BF16, or null for each activation's own type
     */
    public static DumpPlan of(Collection<Point> points, NavigableSet<Integer> steps, Denoising denoising, HostTensor noise,
            List<HostTensor> references, Shape promptEmbeds, DType stored, Ops ops) {
        long batch = noise.shape().dim(0);
        long own = noise.shape().dim(2) * noise.shape().dim(3);
        long imgTokens = own + references.stream().mapToLong(each -> each.shape().dim(2) * each.shape().dim(3)).sum();
        List<Declaration> tensors = new ArrayList<>();
        tensors.add(new Declaration(NOISE, DType.F32, noise.shape()));
        for (Pass pass : denoising.guided() ? List.of(Pass.COND, Pass.UNCOND) : List.of(Pass.COND)) {
            for (Point point : points) {
                if (point.name().startsWith(TEXT)) {
                    Shape shape = point.sized(batch, 0, promptEmbeds.dim(1));
                    tensors.add(new Declaration(DumpNames.of(pass, point.name()), stored == null ? ops.activationType(shape) : stored, shape));
                }
            }
            tensors.add(new Declaration(pass == Pass.COND ? PROMPT : NEGATIVE, DType.F32, promptEmbeds));
        }
        Set<String> watched = new LinkedHashSet<>();
        points.forEach(point -> watched.add(point.name()));
        boolean latents = watched.remove(LATENTS);
        for (int step : steps) {
            for (Pass pass : denoising.guided() ? List.of(Pass.COND, Pass.UNCOND) : List.of(Pass.COND)) {
                for (Point point : points) {
                    if (watched.contains(point.name()) && !point.name().startsWith(TEXT)) {
                        Shape shape = point.sized(batch, imgTokens, promptEmbeds.dim(1));
                        tensors.add(new Declaration(DumpNames.of(step, pass, point.name()),
                                stored == null ? ops.activationType(shape) : stored, shape));
                    }
                }
            }
            if (latents) {
                tensors.add(new Declaration(DumpNames.of(step, Pass.COND, LATENTS), stored == null ? DType.F32 : stored,
                        Shape.of(batch, own, noise.shape().dim(1))));
            }
        }
        return new DumpPlan(tensors, watched, new TreeSet<>(steps));
    }

    /** Bytes of all tensors. */
    public long bytes() {
        return tensors.stream().mapToLong(Declaration::bytes).reduce(0, Math::addExact);
    }

    /** Bytes of each of the two buffers: those of the largest block's tensors, within bounds. */
    long bufferBytes() {
        Map<String, Long> blocks = new HashMap<>();
        long row = 1;
        for (Declaration tensor : tensors) {
            // as computed, which may be wider than stored
            long bytes = DType.F32.bytes(tensor.shape().elements());
            Shape shape = tensor.shape();
            row = Math.max(row, bytes / Math.max(1, shape.rank() < 3 ? shape.dim(0) : shape.dim(0) * shape.dim(1)));
            blocks.merge(tensor.name().replaceFirst("(transformer_blocks\\.[0-9]+).*", "$1"), bytes, Long::sum);
        }
        long block = blocks.values().stream().mapToLong(bytes -> bytes).max().orElse(1);
        return Math.max(row, Math.min(block, MOST_BUFFER_BYTES));
    }
}
