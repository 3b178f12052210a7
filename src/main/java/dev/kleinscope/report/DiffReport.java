package dev.kleinscope.report;

import dev.kleinscope.analysis.ActivationDiff;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Two runs' activations, compared, as one HTML file that needs nothing else. */
public final class DiffReport {

    private static final String SCHEMA = "kleinscope.diff/1";

    private DiffReport() {
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void write(Path target, ActivationDiff diff) {
        String page = html(diff);
        AtomicFile.write(target, out -> out.write(page));
    }

    static String html(ActivationDiff diff) {
        return HtmlPage.titled("Two runs compared").body("diff.html").charts().script("diff.js").data(tree(diff)).html();
    }

    /** The comparison as a tree of maps, lists, texts and numbers; text may come from untrusted files. */
    public static Map<String, Object> tree(ActivationDiff diff) {
        Map<String, Object> tree = new LinkedHashMap<>();
        tree.put("schema", SCHEMA);
        tree.put("a", diff.a());
        tree.put("b", diff.b());
        tree.put("finding", diff.finding());
        tree.put("rtol", diff.rtol());
        tree.put("compared", diff.rows().size());
        tree.put("beyond", diff.beyond());
        tree.put("first", diff.first() == null ? null : diff.first().name());
        tree.put("worst", diff.worst() == null ? null : diff.worst().name());
        tree.put("made", diff.made());
        tree.put("only_a", diff.onlyA());
        tree.put("only_b", diff.onlyB());
        List<Object> rows = new ArrayList<>();
        diff.rows().forEach(row -> rows.add(row(row)));
        tree.put("rows", rows);
        return tree;
    }

    private static Map<String, Object> row(ActivationDiff.Row row) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("name", row.name());
        entry.put("step", row.step());
        entry.put("pass", row.pass());
        entry.put("shape", row.shape());
        entry.put("within", row.within());
        entry.put("problem", row.problem());
        ActivationDiff.Numbers numbers = row.numbers();
        if (numbers != null) {
            entry.put("relative_l2", Json.rounded(numbers.relativeL2()));
            entry.put("max_abs", Json.rounded(numbers.maxAbs()));
            entry.put("worst_index", numbers.worstIndex());
            entry.put("worst_a", numbers.worstA());
            entry.put("worst_b", numbers.worstB());
            entry.put("norm_a", Json.rounded(numbers.normA()));
            entry.put("norm_b", Json.rounded(numbers.normB()));
            entry.put("cosine", Double.isNaN(numbers.cosine()) ? null : numbers.cosine());
            entry.put("not_finite_a", numbers.notFiniteA());
            entry.put("not_finite_b", numbers.notFiniteB());
        }
        return entry;
    }
}
