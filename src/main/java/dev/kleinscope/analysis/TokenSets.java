package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.PromptWords;
import dev.kleinscope.pipeline.TokenGroups;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Sets of a run's tokens with a name: the image's, the text's, and the prompt's, the template's and the padding's among those; then
 * each word's. They overlap, so attention is summed over the finest parts that they are unions of.
 */
public final class TokenSets {

    public static final String IMAGE = "image";
    public static final String TEXT = "text";
    public static final String PROMPT = "prompt";
    public static final String TEMPLATE = "template";
    public static final String PADDING = "padding";
    public static final String WORD = "word";

    /**
     * Tokens with a name.
     *
     * @param name {@link #IMAGE}, ..., {@link #WORD}
     * @param word of the prompt; null if the set is no word's
     * @param tokens positions, text first, ascending
     */
    public record Named(String name, String word, List<Integer> tokens) {

        /** A word is quoted, since it may be called as another set is. */
        public String label() {
            return word == null ? name : "\"" + word + "\"";
        }
    }

    private final int tokens;
    private final List<Named> sets;
    private final int[] parts;
    private final List<List<Integer>> members = new ArrayList<>();
    private final int count;

    /** @param words each with at least one token; sets without tokens are left out */
    public TokenSets(TokenGroups groups, List<PromptWords.Word> words, int imgTokens) {
        tokens = groups.tokens() + imgTokens;
        List<Named> all = new ArrayList<>();
        add(all, IMAGE, groups.tokens(), tokens);
        add(all, TEXT, 0, groups.tokens());
        add(all, PROMPT, groups.promptFrom(), groups.promptTo());
        List<Integer> template = new ArrayList<>(range(0, groups.promptFrom()));
        template.addAll(range(groups.promptTo(), groups.valid()));
        if (!template.isEmpty()) {
            all.add(new Named(TEMPLATE, null, List.copyOf(template)));
        }
        add(all, PADDING, groups.valid(), groups.tokens());
        words.forEach(word -> all.add(new Named(WORD, word.text(), List.copyOf(word.tokens()))));
        sets = List.copyOf(all);
        List<List<Integer>> of = new ArrayList<>();
        for (int token = 0; token < tokens; token++) {
            of.add(new ArrayList<>());
        }
        for (int set = 0; set < sets.size(); set++) {
            for (int token : sets.get(set).tokens()) {
                of.get(token).add(set);
            }
            members.add(new ArrayList<>());
        }
        Map<List<Integer>, Integer> known = new LinkedHashMap<>();
        parts = of.stream().mapToInt(among -> known.computeIfAbsent(among, _ -> known.size())).toArray();
        known.forEach((among, part) -> among.forEach(set -> members.get(set).add(part)));
        count = known.size();
    }

    private static void add(List<Named> sets, String name, int from, int to) {
        if (to > from) {
            sets.add(new Named(name, null, range(from, to)));
        }
    }

    private static List<Integer> range(int from, int to) {
        return IntStream.range(from, to).boxed().toList();
    }

    public List<Named> sets() {
        return sets;
    }

    /** How many tokens there are, text and image. */
    public int tokens() {
        return tokens;
    }

    /** Place of a set that is no word's; -1 if it has no tokens. */
    public int indexOf(String name) {
        return IntStream.range(0, sets.size()).filter(i -> sets.get(i).word() == null && sets.get(i).name().equals(name)).findFirst().orElse(-1);
    }

    /** Places of the words, in order. */
    public List<Integer> words() {
        return IntStream.range(0, sets.size()).filter(i -> sets.get(i).word() != null).boxed().toList();
    }

    /** What a set's share would be if attention were spread evenly. */
    public double evenShare(int set) {
        return (double) sets.get(set).tokens().size() / tokens;
    }

    /** The part that each token belongs to. */
    int[] parts() {
        return parts;
    }

    int partCount() {
        return count;
    }

    /** The parts that make up a set. */
    List<Integer> members(int set) {
        return members.get(set);
    }
}
