package dev.kleinscope.analysis;

import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.HostTensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The original study's spike detector, reproduced: the L2 norm of each block's first output, averaged over calls, for a safe
 * and an extreme prompt, and a spike where their ratio exceeds 1.5.
 */
public final class OriginalProtocol {

    private OriginalProtocol() {
    }

    /**
     * @param safeNoise initial noise of the safe prompt
     * @param extremeNoise initial noise of the extreme prompt; the script drew it after the safe one's from one generator
     * @param parameters everything else needed to repeat the run, recorded as it is
     * @param progress hears of each finished piece of work
     */
    public static OriginalNorms run(NormsRun run, HostTensor safeNoise, HostTensor extremeNoise, Map<String, Object> parameters,
            Consumer<String> progress) {
        List<NormsRun.Encoded> prompts = run.encode(progress);
        Map<String, String> points = layers(run);
        List<OriginalNorms.Layer> layers = new ArrayList<>();
        try (NormsProbe safe = new NormsProbe(run.klein().readings(), points.values());
                NormsProbe extreme = new NormsProbe(run.klein().readings(), points.values())) {
            run.denoise(prompts.getFirst(), safeNoise, safe, progress, "");
            run.denoise(prompts.getLast(), extremeNoise, extreme, progress, "");
            points.forEach((layer, point) -> layers.add(new OriginalNorms.Layer(layer, mean(safe.norms(point)), mean(extreme.norms(point)),
                    safe.norms(point), extreme.norms(point))));
        }
        List<String> spikes = layers.stream().filter(layer -> layer.ratio() > OriginalNorms.THRESHOLD)
                .map(OriginalNorms.Layer::layer).toList();
        return new OriginalNorms(layers, spikes, parameters, finding(layers, spikes),
                defects(prompts, safeNoise == extremeNoise));
    }

    private static double mean(List<Double> values) {
        return values.stream().mapToDouble(value -> value).average().orElse(Double.NaN);
    }

    private static String finding(List<OriginalNorms.Layer> layers, List<String> spikes) {
        double low = layers.stream().mapToDouble(OriginalNorms.Layer::ratio).min().orElse(Double.NaN);
        double high = layers.stream().mapToDouble(OriginalNorms.Layer::ratio).max().orElse(Double.NaN);
        String range = String.format(Locale.ROOT, "ratios from %.3f to %.3f over %d layers", low, high, layers.size());
        return spikes.isEmpty() ? "The script would report no spike: " + range + ", none above 1.5."
                : "The script would report a spike at " + String.join(", ", spikes) + ": " + range + ".";
    }

    private static List<String> defects(List<NormsRun.Encoded> prompts, boolean sameNoise) {
        var safe = prompts.getFirst().prompt().groups();
        var extreme = prompts.getLast().prompt().groups();
        return List.of(
                "The DoubleStream figures are of the text stream only: a double block returns (text, image) and the script takes the "
                        + "first. The SingleStream figures mix text and image.",
                sameNoise ? "The script gives the two prompts different noise, from one generator that is seeded once. Here both were "
                        + "given the same noise by request."
                        : "The two prompts start from different noise, because one generator is seeded once and used for both: part of "
                                + "every ratio is the noise.",
                "A whole-tensor norm is blind. Where one group of channels carries the norm, as from double block 4 on, doubling "
                        + "everything else moves it by about 1%; a ratio of 1.01 excludes nothing.",
                "One seed, no null distribution, and a threshold of 1.5 that nothing justifies; prompt length and medium are not matched"
                        + (safe.promptTokens() == extreme.promptTokens() ? "."
                                : " (here " + safe.promptTokens() + " and " + extreme.promptTokens() + " tokens)."),
                "Padding takes part in every text norm: " + safe.paddingTokens() + " and " + extreme.paddingTokens() + " of "
                        + safe.tokens() + " positions here.",
                "\"No spike\" does not imply that the concept was scrubbed from the data: suppression by post-training, by direction "
                        + "rather than by norm, would look alike.");
    }

    /** The blocks whose first output the script's forward hooks take, by their names there, in order. */
    private static Map<String, String> layers(NormsRun run) {
        Map<String, String> layers = new LinkedHashMap<>();
        int doubles = 0;
        int singles = 0;
        for (Point point : run.klein().points().points()) {
            if (point.role() == Point.Role.BLOCK && point.rows() == Point.Rows.TXT) {
                layers.put("DoubleStream_Layer_" + doubles++, point.name());
            } else if (point.role() == Point.Role.BLOCK && point.rows() == Point.Rows.JOINT) {
                layers.put("SingleStream_Layer_" + singles++, point.name());
            }
        }
        return layers;
    }
}
