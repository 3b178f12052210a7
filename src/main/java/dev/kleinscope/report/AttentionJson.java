package dev.kleinscope.report;

import dev.kleinscope.analysis.Attention;
import dev.kleinscope.analysis.TokenSets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A look at attention in one JSON document: {@code schema}, {@code prompt}, {@code parameters}, {@code finding}, {@code limits},
 * {@code steps}, {@code map} (height and width of the image in tokens), {@code sets} ({@code label}, {@code name}, {@code word},
 * {@code tokens}, {@code even_share}), {@code heads} (means over steps with the prompt: {@code block}, {@code head}, and for each set of
 * queries its {@code entropy} and {@code shares} by label) and {@code words} ({@code word}, {@code tokens}, {@code image_share},
 * {@code even_share}, {@code top_heads}).
 */
public final class AttentionJson {

    /** First field of the document. */
    public static final String SCHEMA = "kleinscope.attention/1";

    static final int TOP_HEADS = 8;

    private AttentionJson() {
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void write(Path target, Attention attention) {
        AtomicFile.write(target, out -> out.write(json(attention)));
    }

    /** The document as text, ending in a line feed. */
    public static String json(Attention attention) {
        TokenSets sets = attention.sets();
        Map<String, Object> run = new LinkedHashMap<>();
        run.put("schema", SCHEMA);
        run.put("prompt", attention.prompt());
        run.put("parameters", attention.parameters());
        run.put("finding", attention.finding());
        run.put("limits", attention.limits());
        run.put("steps", attention.steps());
        run.put("map", List.of(attention.maps().height(), attention.maps().width()));
        List<Object> named = new ArrayList<>();
        for (int i = 0; i < sets.sets().size(); i++) {
            named.add(set(sets, i));
        }
        run.put("sets", named);
        run.put("words", words(attention));
        run.put("heads", heads(attention));
        return Json.pretty(run);
    }

    private static Map<String, Object> set(TokenSets sets, int index) {
        TokenSets.Named set = sets.sets().get(index);
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("label", set.label());
        entry.put("name", set.name());
        entry.put("word", set.word());
        entry.put("tokens", set.tokens().size());
        entry.put("even_share", sets.evenShare(index));
        return entry;
    }

    static List<Object> words(Attention attention) {
        TokenSets sets = attention.sets();
        double[][][] all = Arrays.stream(attention.means()).flatMap(Arrays::stream).toArray(double[][][]::new);
        double[] image = Attention.overHeads(all, sets.indexOf(TokenSets.IMAGE));
        List<Object> words = new ArrayList<>();
        for (int word = 0; word < sets.words().size(); word++) {
            int set = sets.words().get(word);
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("word", sets.sets().get(set).word());
            entry.put("tokens", sets.sets().get(set).tokens());
            entry.put("image_share", image[1 + set]);
            entry.put("even_share", sets.evenShare(set));
            List<Object> top = new ArrayList<>();
            for (Attention.WordHead head : attention.top(word, TOP_HEADS)) {
                Map<String, Object> each = new LinkedHashMap<>();
                each.put("block", head.block());
                each.put("head", head.head());
                each.put("share", head.share());
                each.put("peak", head.peak());
                top.add(each);
            }
            entry.put("top_heads", top);
            words.add(entry);
        }
        return words;
    }

    private static List<Object> heads(Attention attention) {
        List<TokenSets.Named> sets = attention.sets().sets();
        double[][][][] means = attention.means();
        List<Object> heads = new ArrayList<>();
        for (int block = 0; block < means.length; block++) {
            for (int head = 0; head < means[block].length; head++) {
                Map<String, Object> entry = new LinkedHashMap<>();
                entry.put("block", attention.blocks().get(block));
                entry.put("head", head);
                for (int from = 0; from < sets.size(); from++) {
                    Map<String, Object> queries = new LinkedHashMap<>();
                    queries.put("entropy", means[block][head][from][0]);
                    Map<String, Object> shares = new LinkedHashMap<>();
                    for (int to = 0; to < sets.size(); to++) {
                        if (sets.get(to).word() == null || sets.get(from).name().equals(TokenSets.IMAGE)) {
                            shares.put(sets.get(to).label(), means[block][head][from][1 + to]);
                        }
                    }
                    queries.put("shares", shares);
                    entry.put(sets.get(from).label(), queries);
                }
                heads.add(entry);
            }
        }
        return heads;
    }
}
