package dev.kleinscope.report;

import dev.kleinscope.analysis.Attention;
import dev.kleinscope.analysis.TokenSets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What the attention report's scripts draw, as a tree for {@link Json}. */
final class AttentionData {

    /** Heads of each word whose maps are shown. */
    static final int MAPS = 5;

    /** More steps than these are shown as their mean alone. */
    private static final int MOST_STEPS = 8;

    private AttentionData() {
    }

    /** One number of each head: the entropy of a set's queries, or their share for a set of keys. @param to -1 for the entropy */
    private record Quantity(String title, int from, int to) {
    }

    static Map<String, Object> of(Attention attention, byte[] picture) {
        if (attention.cells().isEmpty()) {
            throw new IllegalArgumentException("report of attention: nothing was looked at; choose a block and a step");
        }
        TokenSets sets = attention.sets();
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("prompt", attention.prompt());
        data.put("finding", attention.finding());
        data.put("limits", attention.limits());
        data.put("parameters", attention.parameters());
        data.put("tokens", sets.tokens());
        data.put("sets", sets.sets().stream().map(set -> List.of(set.label(), set.tokens().size())).toList());
        data.put("steps", attention.steps());
        data.put("blocks", attention.blocks());
        data.put("axis", attention.blocks().stream().map(NormsData::label).toList());
        data.put("heads", attention.heads());
        data.put("guided", attention.tokens().size() > 1);
        data.put("quantities", quantities(attention));
        data.put("picture", uri(picture));
        data.put("map", List.of(attention.maps().height(), attention.maps().width()));
        data.put("words", words(attention));
        return data;
    }

    private static List<Object> quantities(Attention attention) {
        TokenSets sets = attention.sets();
        List<Quantity> all = new ArrayList<>();
        int image = sets.indexOf(TokenSets.IMAGE);
        all.add(new Quantity("Entropy of the image's attention", image, -1));
        for (int to = 0; to < sets.sets().size(); to++) {
            if (!sets.sets().get(to).name().equals(TokenSets.TEXT)) {
                all.add(new Quantity("From the image to " + target(sets.sets().get(to)), image, to));
            }
        }
        all.add(new Quantity("Entropy of the text's attention", sets.indexOf(TokenSets.TEXT), -1));
        for (int from = 0; from < sets.sets().size(); from++) {
            TokenSets.Named set = sets.sets().get(from);
            if (set.word() != null || !set.name().equals(TokenSets.IMAGE) && !set.name().equals(TokenSets.TEXT)) {
                all.add(new Quantity("From " + target(set) + " to the image", from, image));
            }
        }
        float[][][][] values = new float[all.size()][attention.steps().size()][attention.blocks().size()][attention.heads()];
        for (Attention.Cell cell : attention.cells()) {
            for (int i = 0; i < all.size(); i++) {
                Quantity quantity = all.get(i);
                if (quantity.from() == cell.from() && cell.pass().equals("cond")) {
                    values[i][attention.steps().indexOf(cell.step())][attention.blocks().indexOf(cell.block())][cell.head()] =
                            (float) (quantity.to() < 0 ? cell.entropy() : cell.shares()[quantity.to()]);
                }
            }
        }
        List<Object> entries = new ArrayList<>();
        for (int i = 0; i < all.size(); i++) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("title", all.get(i).title());
            entry.put("entropy", all.get(i).to() < 0);
            entry.put("even", all.get(i).to() < 0 ? Math.log(sets.tokens()) : sets.evenShare(all.get(i).to()));
            entry.put("mean", mean(values[i]));
            entry.put("steps", values[i].length > 1 && values[i].length <= MOST_STEPS ? Arrays.stream(values[i]).map(AttentionData::rounded).toList()
                    : List.of());
            entries.add(entry);
        }
        return entries;
    }

    private static String target(TokenSets.Named set) {
        return set.word() != null ? set.label() : "the " + set.name();
    }

    private static List<List<Object>> mean(float[][][] steps) {
        float[][] mean = new float[steps[0].length][steps[0][0].length];
        for (float[][] step : steps) {
            for (int block = 0; block < mean.length; block++) {
                for (int head = 0; head < mean[block].length; head++) {
                    mean[block][head] += step[block][head] / steps.length;
                }
            }
        }
        return rounded(mean);
    }

    /** Five significant digits. */
    private static List<List<Object>> rounded(float[][] grid) {
        return Arrays.stream(grid).map(row -> {
            List<Object> values = new ArrayList<>();
            for (float value : row) {
                values.add(Float.isFinite(value) ? (Object) Float.parseFloat(String.format(Locale.ROOT, "%.4e", value)) : value);
            }
            return values;
        }).toList();
    }

    private static List<Object> words(Attention attention) {
        List<Object> words = new ArrayList<>();
        for (Object each : AttentionJson.words(attention)) {
            @SuppressWarnings("unchecked")
            Map<String, Object> word = new LinkedHashMap<>((Map<String, Object>) each);
            int index = words.size();
            word.put("mean", map(attention, attention.maps().mean(index)));
            word.put("maps", attention.top(index, MAPS).stream().map(head -> map(attention, attention.maps().of(index,
                    attention.blocks().indexOf(head.block()), head.head()))).toList());
            words.add(word);
        }
        return words;
    }

    private static String map(Attention attention, float[] map) {
        return uri(HeatPicture.png(map, attention.maps().height(), attention.maps().width()));
    }

    private static String uri(byte[] png) {
        return png == null ? null : "data:image/png;base64," + Base64.getEncoder().encodeToString(png);
    }
}
