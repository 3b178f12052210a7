package dev.kleinscope.report;

import dev.kleinscope.analysis.PatchMetric;
import dev.kleinscope.analysis.Patching;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Activation patching as one HTML file that needs nothing else: a heat map of effects, the table, parameters and how to read them. */
public final class PatchReport {

    private PatchReport() {
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void write(Path target, Patching patching) {
        String page = html(patching);
        AtomicFile.write(target, out -> out.write(page));
    }

    static String html(Patching patching) {
        return HtmlPage.titled("Activation patching").body("patch.html").script("patch.js").data(data(patching)).html();
    }

    private static Map<String, Object> data(Patching patching) {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("from", patching.from());
        data.put("to", patching.to());
        data.put("null", patching.nullPrompt());
        data.put("finding", patching.finding());
        data.put("limits", patching.limits());
        data.put("parameters", patching.parameters());
        data.put("streams", patching.streams());
        data.put("perStep", patching.perStep());
        data.put("seeds", patching.cells().stream().map(Patching.Cell::seed).distinct().count());
        List<Object> metrics = new ArrayList<>();
        for (PatchMetric metric : patching.metrics()) {
            metrics.add(Map.of("label", metric.label(), "title", metric.title()));
        }
        data.put("metrics", metrics);
        List<Object> effects = new ArrayList<>();
        for (Patching.Effect effect : patching.effects()) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("point", effect.point());
            entry.put("row", row(effect));
            entry.put("stream", effect.stream());
            entry.put("step", effect.step());
            entry.put("metric", effect.metric().label());
            entry.put("effect", Json.rounded(effect.effect()));
            entry.put("spread", Json.rounded(effect.spread()));
            entry.put("nullEffect", effect.nullEffect() == null ? null : Json.rounded(effect.nullEffect()));
            effects.add(entry);
        }
        data.put("effects", effects);
        return data;
    }

    /** Both streams of a double block share a row. */
    private static String row(Patching.Effect effect) {
        return NormsData.axisLabel(effect.point());
    }
}
