package dev.kleinscope.report;

import dev.kleinscope.analysis.PatchMetric;
import dev.kleinscope.analysis.Patching;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Made-up effects in the form that the protocol returns. */
final class SamplePatching {

    private SamplePatching() {
    }

    static Patching of(String from, String to, String nullPrompt, boolean perStep) {
        List<Patching.Cell> cells = new ArrayList<>();
        List<Patching.Effect> effects = new ArrayList<>();
        List<String> points = List.of("transformer_blocks.0.img", "transformer_blocks.0.txt", "single_transformer_blocks.0", "proj_out");
        for (String point : points) {
            for (String stream : List.of("image", "text")) {
                for (int step = 0; step < (perStep ? 2 : 1); step++) {
                    Integer patched = perStep ? step : null;
                    double effect = point.length() % 7 / 6.0 - 0.2 * step;
                    cells.add(new Patching.Cell(point, stream, patched, 1, Patching.FROM, Map.of(PatchMetric.DISTANCE, effect)));
                    effects.add(new Patching.Effect(point, stream, patched, PatchMetric.DISTANCE, effect, Double.NaN,
                            nullPrompt == null ? null : effect / 10));
                    effects.add(new Patching.Effect(point, stream, patched, PatchMetric.NORM, Double.NaN, Double.NaN,
                            nullPrompt == null ? null : Double.NaN));
                }
            }
        }
        return new Patching(from, to, nullPrompt, List.of(PatchMetric.DISTANCE, PatchMetric.NORM), points, List.of("image", "text"), perStep,
                cells, effects, Map.of("from", from), "A finding about " + to + ".", List.of("A limit."));
    }
}
