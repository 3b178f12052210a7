package dev.kleinscope.pipeline.validate;

import dev.kleinscope.model.clip.Clip;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.ClipPixels;
import dev.kleinscope.pipeline.ImageException;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Runs a case of kind {@code clip}: some pairs of an image and a text, each through its tower. */
public final class ClipCase {

    /** Share of pixel values that may be a level off: resizing rounds to 8 bits, and libraries differ in the last one. */
    private static final double PIXELS_OFF = 0.01;
    /** Room for the rounding of f32 around a whole level. */
    private static final double LEVEL = 1.01;

    private ClipCase() {
    }

    /**
     * @param preprocessor checked where an {@code image-i.png} lies beside the case; null to leave that out
     * @return for each pair: the pixels, each captured activation, the image embedding, the text embedding
     */
    public static List<TensorCheck> run(ReferenceCase reference, Clip clip, ClipPixels preprocessor, Ops ops) {
        List<TensorCheck> checks = new ArrayList<>();
        int pairs = 0;
        while (reference.has(pairs + ".input_ids")) {
            checks.addAll(pair(reference, pairs++, clip, preprocessor, ops));
        }
        if (pairs == 0) {
            throw new ModelException(reference.path() + " is no complete \"clip\" case: it has no tensor 0.input_ids");
        }
        return checks;
    }

    private static List<TensorCheck> pair(ReferenceCase reference, int index, Clip clip, ClipPixels preprocessor, Ops ops) {
        String prefix = index + ".";
        HostTensor pixelValues = reference.values(prefix + "pixel_values", 4);
        int[] ids = reference.integers(prefix + "input_ids", 1);
        HostTensor expectedImage = reference.values(prefix + "image_embeds");
        HostTensor expectedText = reference.values(prefix + "text_embeds");
        List<TensorCheck> checks = new ArrayList<>();
        Path image = reference.path().resolveSibling("image-" + index + ".png");
        if (preprocessor != null && Files.exists(image)) {
            checks.add(pixels(prefix + "pixel_values", image, preprocessor, pixelValues));
        }
        CaseObserver observer = new CaseObserver(reference, prefix);
        Probes probes = Probes.of(observer, 0, Pass.COND);
        try {
            HostTensor imageEmbeds = clip.imageEmbeds(ops, pixelValues, probes);
            HostTensor textEmbeds = clip.textEmbeds(ops, new int[][] {ids}, probes);
            checks.addAll(observer.finish(Set.of(prefix + "pixel_values", prefix + "input_ids", prefix + "image_embeds",
                    prefix + "text_embeds")));
            checks.add(TensorCheck.of(prefix + "image_embeds", imageEmbeds, expectedImage));
            checks.add(TensorCheck.of(prefix + "text_embeds", textEmbeds, expectedText));
        } catch (IllegalArgumentException e) {
            throw new ModelException(reference.path() + " does not fit the model: " + e.getMessage(), e);
        }
        return checks;
    }

    /** Compares in 8-bit levels, before mean and deviation. */
    private static TensorCheck pixels(String name, Path image, ClipPixels preprocessor, HostTensor expected) {
        HostTensor found;
        try {
            found = preprocessor.pixelValues(ImageFile.read(image));
        } catch (ImageException e) {
            return TensorCheck.failed(name, e.getMessage());
        }
        if (!found.shape().equals(expected.shape())) {
            return TensorCheck.of(name, found, expected);
        }
        float[] foundLevels = levels(found, preprocessor);
        float[] expectedLevels = levels(expected, preprocessor);
        int off = 0;
        for (int i = 0; i < foundLevels.length; i++) {
            double difference = Math.abs(foundLevels[i] - expectedLevels[i]);
            if (!(difference <= LEVEL)) {
                return TensorCheck.failed(name, "8-bit levels of " + image.getFileName() + ": value " + i + ": expected "
                        + expectedLevels[i] + ", found " + foundLevels[i]);
            }
            off += difference > LEVEL - 1 ? 1 : 0;
        }
        if (off > PIXELS_OFF * foundLevels.length) {
            return TensorCheck.failed(name, "8-bit levels of " + image.getFileName() + ": " + off + " of "
                    + foundLevels.length + " values are one off; expected at most 1%");
        }
        return TensorCheck.passed(name, HostTensor.of(name, foundLevels, foundLevels.length),
                HostTensor.of(name, expectedLevels, expectedLevels.length));
    }

    /** [1, 3, height, width] as the 8-bit levels it was made of, not rounded. */
    private static float[] levels(HostTensor pixelValues, ClipPixels preprocessor) {
        float[] levels = new float[pixelValues.values().length];
        int plane = levels.length / 3;
        for (int i = 0; i < levels.length; i++) {
            int channel = i / plane;
            double unit = (double) pixelValues.values()[i] * preprocessor.std()[channel] + preprocessor.mean()[channel];
            levels[i] = (float) (unit * 255);
        }
        return levels;
    }
}
