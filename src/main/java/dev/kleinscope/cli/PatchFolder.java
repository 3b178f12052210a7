package dev.kleinscope.cli;

import dev.kleinscope.analysis.PatchMetric;
import dev.kleinscope.analysis.PatchProtocol;
import dev.kleinscope.analysis.Patching;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.HashMap;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/** A journal of the patched runs that are finished, by which an interrupted command goes on. */
final class PatchFolder implements PatchProtocol.Store {

    private record Run(String point, String stream, Integer step, long seed, String source, Map<String, String> values) {
    }

    private final Journal journal;
    private final Map<List<Object>, Patching.Cell> finished = new HashMap<>();

    PatchFolder(Path folder, Map<String, Object> parameters) {
        journal = new Journal(folder.resolve("patch.journal"), parameters);
        for (JsonNode entry : journal.entries()) {
            try {
                Map<PatchMetric, Double> values = new EnumMap<>(PatchMetric.class);
                entry.required("values").properties().forEach(value -> values.put(PatchMetric.of(value.getKey()),
                        Double.parseDouble(value.getValue().stringValue())));
                Patching.Cell cell = new Patching.Cell(entry.required("point").stringValue(), entry.required("stream").stringValue(),
                        entry.path("step").isNumber() ? entry.path("step").intValue() : null, entry.required("seed").longValue(),
                        entry.required("source").stringValue(), values);
                finished.put(key(cell.point(), cell.stream(), cell.step(), cell.seed(), cell.source()), cell);
            } catch (JacksonException | IllegalArgumentException _) {
                // run again instead
            }
        }
    }

    int resumed() {
        return finished.size();
    }

    @Override
    public Patching.Cell finished(String point, String stream, Integer step, long seed, String source) {
        return finished.get(key(point, stream, step, seed, source));
    }

    @Override
    public void keep(Patching.Cell cell) {
        Map<String, String> values = new LinkedHashMap<>();
        cell.values().forEach((metric, value) -> values.put(metric.label(), value.toString()));
        journal.append(new Run(cell.point(), cell.stream(), cell.step(), cell.seed(), cell.source(), values));
    }

    void done() {
        journal.done();
    }

    private static List<Object> key(String point, String stream, Integer step, long seed, String source) {
        return List.of(point, stream, step == null ? -1 : step, seed, source);
    }
}
