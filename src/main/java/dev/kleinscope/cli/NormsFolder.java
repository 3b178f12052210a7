package dev.kleinscope.cli;

import dev.kleinscope.analysis.NormRow;
import dev.kleinscope.analysis.PairedProtocol;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/** A journal of the runs that are measured, by which an interrupted command goes on. */
final class NormsFolder implements PairedProtocol.Store {

    private record Run(String prompt, long seed, List<Object[]> rows) {
    }

    private final Journal journal;
    private final Map<String, List<NormRow>> finished = new HashMap<>();

    NormsFolder(Path folder, Map<String, Object> parameters) {
        journal = new Journal(folder.resolve("norms.journal"), parameters);
        for (JsonNode entry : journal.entries()) {
            try {
                String prompt = entry.required("prompt").stringValue();
                long seed = entry.required("seed").longValue();
                List<NormRow> rows = new ArrayList<>();
                for (JsonNode row : entry.required("rows")) {
                    rows.add(new NormRow(prompt, seed, row.required(0).intValue(), row.required(1).stringValue(), row.required(2).stringValue(),
                            row.required(3).stringValue(), row.required(4).stringValue(), Double.parseDouble(row.required(5).stringValue())));
                }
                finished.put(key(prompt, seed), rows);
            } catch (JacksonException | NumberFormatException _) {
                // measured again instead
            }
        }
    }

    int resumed() {
        return finished.size();
    }

    @Override
    public List<NormRow> finished(String prompt, long seed) {
        return finished.get(key(prompt, seed));
    }

    @Override
    public void keep(String prompt, long seed, List<NormRow> rows) {
        journal.append(new Run(prompt, seed, rows.stream().map(row -> new Object[] {row.step(), row.pass(), row.point(), row.stream(),
                row.measure(), String.valueOf(row.value())}).toList()));
    }

    void done() {
        journal.done();
    }

    private static String key(String prompt, long seed) {
        return prompt + " " + seed;
    }
}
