package dev.kleinscope.pipeline;

import dev.kleinscope.model.clip.Clip;
import dev.kleinscope.model.clip.ClipConfig;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelComponent;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.WeightSource;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How well images fit texts, by a CLIP model: tokenizer, image preprocessor and weights, each opened when first needed.
 *
 * <p>Not safe for use by several threads at once.
 */
public final class ClipScorer implements AutoCloseable {

    private final ModelFiles files;
    private final Ops ops;
    private final Map<String, HostTensor> textEmbeds = new HashMap<>();
    private final Map<String, Object> identity = new LinkedHashMap<>();
    private WeightSource source;
    private Clip clip;
    private ClipTokenizer tokenizer;
    private ClipPixels pixels;

    /** Opens nothing yet; {@link #open} tells at once what is wrong. */
    public ClipScorer(ModelFiles files, Ops ops) {
        this.files = files;
        this.ops = ops;
    }

    /** A scorer that has all it needs. @throws ModelException if something is missing, malformed or does not fit the rest */
    public static ClipScorer open(ModelFiles files, Ops ops) {
        ClipScorer scorer = new ClipScorer(files, ops);
        try {
            scorer.pixels();
            scorer.tokenizer();
            scorer.clip();
            return scorer;
        } catch (Throwable e) {
            scorer.close();
            throw e;
        }
    }

    /** @throws ModelException if there is none or its weights do not fit */
    public Clip clip() {
        if (clip == null) {
            ModelComponent component = files.component(ComponentKind.CLIP);
            ClipConfig config = config();
            source = component.open();
            clip = new Clip(source, config, ops);
            identity.put("clip", Map.of("path", component.location().toAbsolutePath().toString(),
                    "header_sha256", source.headerHash()));
        }
        return clip;
    }

    /** @throws ModelException if there is none or it is not CLIP's */
    public ClipTokenizer tokenizer() {
        if (tokenizer == null) {
            tokenizer = ClipTokenizer.open(files.component(ComponentKind.TOKENIZER), config().maxPositions());
        }
        return tokenizer;
    }

    /** Whether the model's folder says how images are prepared. */
    public boolean hasPixels() {
        return ClipPreprocessor.in(files.component(ComponentKind.CLIP));
    }

    /** @throws ModelException if the folder does not say how images are prepared, or the sizes are not the model's */
    public ClipPixels pixels() {
        if (pixels == null) {
            ModelComponent component = files.component(ComponentKind.CLIP);
            ClipPixels found = ClipPreprocessor.read(component);
            int size = config().imageSize();
            if (found.cropWidth() != size || found.cropHeight() != size) {
                throw new ModelException(component.location() + ": the image preprocessor crops to " + found.cropWidth() + "x"
                        + found.cropHeight() + ", the model takes " + size + "x" + size + "; the files do not belong together");
            }
            pixels = found;
        }
        return pixels;
    }

    /** What was opened: the place and the hash of the weights' header. */
    public Map<String, Object> identity() {
        return new LinkedHashMap<>(identity);
    }

    /**
     * An image as a unit vector, for scores against several texts.
     *
     * @return [1, projection]
     * @throws ModelException if the model gives no finite vector
     */
    public HostTensor imageEmbeds(Image8 image) {
        return finite(clip().imageEmbeds(ops, pixels().pixelValues(image)), image.toString());
    }

    /**
     * A text as a unit vector, computed once.
     *
     * @return [1, projection]
     * @throws IllegalArgumentException if the text is not valid Unicode
     * @throws ModelException if the model gives no finite vector
     */
    public HostTensor textEmbeds(String text) {
        HostTensor known = textEmbeds.get(text);
        if (known == null) {
            int[] ids = tokenizer().tokens(text).ids();
            try {
                known = finite(clip().textEmbeds(ops, new int[][] {ids}), "a text");
            } catch (IllegalArgumentException e) {
                throw new ModelException(files.origin() + ": " + e.getMessage(), e);
            }
            textEmbeds.put(text, known);
        }
        return known;
    }

    /** Cosine of the angle between an image, as {@link #imageEmbeds} gives it, and a text. */
    public double cosine(HostTensor imageEmbeds, String text) {
        float[] a = imageEmbeds.values();
        float[] b = textEmbeds(text).values();
        double sum = 0;
        for (int i = 0; i < b.length; i++) {
            sum += (double) a[i] * b[i];
        }
        return sum;
    }

    /** The CLIP score, {@code 100 max(cosine, 0)}: 0 to 100. */
    public static double score(double cosine) {
        return 100 * Math.max(cosine, 0);
    }

    /** The CLIP score of an image and a text, 0 to 100. */
    public double score(Image8 image, String text) {
        return score(cosine(imageEmbeds(image), text));
    }

    /** transformers' {@code logits_per_image}: the cosine times the model's own {@link Clip#logitScale}. */
    public double logitsPerImage(Image8 image, String text) {
        return clip().logitScale() * cosine(imageEmbeds(image), text);
    }

    private ClipConfig config() {
        ModelComponent component = files.component(ComponentKind.CLIP);
        if (component.config() == null) {
            throw new ModelException(component.location() + " alone does not say how to run it: CLIP needs the config.json beside its"
                    + " weights; give the folder that holds both");
        }
        return ClipConfig.from(component.config());
    }

    private HostTensor finite(HostTensor embeds, String what) {
        for (float value : embeds.values()) {
            if (!Float.isFinite(value)) {
                throw new ModelException(files.origin() + ": the CLIP model gives no finite vector for " + what
                        + "; its weights are damaged");
            }
        }
        return embeds;
    }

    @Override
    public void close() {
        if (tokenizer != null) {
            tokenizer.close();
        }
        if (source != null) {
            source.close();
        }
    }
}
