package dev.kleinscope.cli;

import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.InterpolationProtocol;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.ImageException;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.tensor.HostTensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/** A sweep's folder: its images, and a journal of finished samples by which an interrupted sweep goes on. */
final class SweepFolder implements InterpolationProtocol.Store {

    private record Key(long seed, double alpha) {
    }

    private final Path folder;
    private final Journal journal;
    private final boolean images;
    private final Map<String, String> text;
    private final Map<Key, Interpolation.Sample> finished = new HashMap<>();

    /**
     * @param parameters what makes samples comparable; only sweeps with the same go on from each other
     * @param images whether pixels are kept
     * @param text metadata of each image
     * @throws UserInputException if the folder holds an unfinished sweep with other parameters
     */
    SweepFolder(Path folder, Map<String, Object> parameters, boolean images, Map<String, String> text) {
        this.folder = folder;
        this.images = images;
        this.text = text;
        journal = new Journal(folder.resolve("sweep.journal"), parameters);
        for (JsonNode entry : journal.entries()) {
            Interpolation.Sample sample = sample(entry);
            if (sample != null && (sample.image() != null) == images && (!images || Files.isRegularFile(folder.resolve(sample.image())))) {
                finished.put(new Key(sample.seed(), sample.alpha()), sample);
            }
        }
    }

    private static Interpolation.Sample sample(JsonNode json) {
        try {
            long seed = json.required("seed").longValue();
            double alpha = json.required("alpha").doubleValue();
            String image = json.path("image").isString() ? json.path("image").stringValue() : null;
            if (image != null && !image.equals(name(seed, alpha))) {
                return null;
            }
            return new Interpolation.Sample(alpha, seed, image, number(json, "structural"), number(json, "noiseSigma"),
                    number(json, "blur"), number(json, "colourEntropy"), optional(json, "step"), optional(json, "clipFrom"),
                    optional(json, "clipTo"), optional(json, "clipLogit"));
        } catch (JacksonException _) {
            return null;
        }
    }

    private static double number(JsonNode json, String name) {
        return json.required(name).doubleValue();
    }

    private static Double optional(JsonNode json, String name) {
        return json.path(name).isNumber() ? json.path(name).doubleValue() : null;
    }

    int resumed() {
        return finished.size();
    }

    @Override
    public Interpolation.Sample finished(long seed, double alpha) {
        return finished.get(new Key(seed, alpha));
    }

    @Override
    public Image8 picture(Interpolation.Sample sample) {
        if (sample.image() == null) {
            return null;
        }
        try {
            return ImageFile.read(folder.resolve(sample.image()));
        } catch (ImageException _) {
            // drawn again instead
            return null;
        }
    }

    @Override
    public String keep(long seed, double alpha, Image8 picture, HostTensor planes) {
        if (!images) {
            return null;
        }
        String name = name(seed, alpha);
        ImageFile.writePng(folder.resolve(name), picture, text);
        return name;
    }

    @Override
    public void keep(Interpolation.Sample sample) {
        journal.append(sample);
    }

    /** The sweep's results are written; nothing is left to go on from. */
    void done() {
        journal.done();
    }

    private static String name(long seed, double alpha) {
        return String.format(Locale.ROOT, "seed-%d-alpha-%.6f.png", seed, alpha);
    }
}
