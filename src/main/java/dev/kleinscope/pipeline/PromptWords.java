package dev.kleinscope.pipeline;

import java.lang.Character.UnicodeScript;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/** The words of a prompt, and the tokens that they fall into. */
public final class PromptWords {

    private static final Pattern WORD = Pattern.compile("[\\p{L}\\p{M}\\p{N}]+(?:['\u2019-][\\p{L}\\p{M}\\p{N}]+)*");

    /** Scripts in which no blank parts one word from the next. */
    private static final Set<UnicodeScript> UNBROKEN = Set.of(UnicodeScript.HAN, UnicodeScript.HIRAGANA, UnicodeScript.KATAKANA,
            UnicodeScript.THAI, UnicodeScript.LAO, UnicodeScript.KHMER, UnicodeScript.MYANMAR);

    /**
     * A word or phrase of the prompt.
     *
     * @param text as the prompt has it where it first stands
     * @param tokens positions in the padded prompt of all tokens that any of its occurrences touches, ascending
     */
    public record Word(String text, List<Integer> tokens) {
    }

    private final Prompt prompt;
    private final int[][] spans;

    public PromptWords(PromptTokenizer tokenizer, Prompt prompt) {
        this.prompt = prompt;
        this.spans = tokenizer.spans(prompt);
    }

    /** Runs of letters and digits, each once whatever its case, in order; also those that lost their tokens to the prompt's length. */
    public List<String> all() {
        Map<String, String> words = new LinkedHashMap<>();
        WORD.matcher(prompt.text()).results().forEach(word -> words.putIfAbsent(word.group().toLowerCase(Locale.ROOT), word.group()));
        return List.copyOf(words.values());
    }

    /**
     * All occurrences of a word or phrase, whatever its case, that begin and end where a word may.
     *
     * @return null if there is none; without tokens if the prompt was cut before it
     */
    public Word find(String phrase) {
        String text = prompt.text();
        String first = null;
        TreeSet<Integer> tokens = new TreeSet<>();
        int place = 0;
        for (int from = 0; !phrase.isEmpty() && from + phrase.length() <= text.length(); from++) {
            int to = from + phrase.length();
            if (text.regionMatches(true, from, phrase, 0, phrase.length()) && border(text, from) && border(text, to)) {
                first = first == null ? text.substring(from, to) : first;
                addTokens(place, place + text.codePointCount(from, to), tokens);
            }
            place += Character.isHighSurrogate(text.charAt(from)) ? 0 : 1;
        }
        return first == null ? null : new Word(first, new ArrayList<>(tokens));
    }

    private void addTokens(int from, int to, Set<Integer> tokens) {
        for (int i = 0; i < spans.length; i++) {
            if (spans[i][0] < to && spans[i][1] > from) {
                tokens.add(prompt.groups().promptFrom() + i);
            }
        }
    }

    /** Whether a word may end, and another begin, before a character. */
    private static boolean border(String text, int at) {
        if (at == 0 || at == text.length()) {
            return true;
        }
        int before = text.codePointBefore(at);
        int after = text.codePointAt(at);
        return !inWord(before) || !inWord(after) || unbroken(before) || unbroken(after);
    }

    private static boolean inWord(int c) {
        return Character.isLetterOrDigit(c) || Character.getType(c) == Character.NON_SPACING_MARK
                || Character.getType(c) == Character.COMBINING_SPACING_MARK || Character.getType(c) == Character.ENCLOSING_MARK;
    }

    private static boolean unbroken(int c) {
        return UNBROKEN.contains(UnicodeScript.of(c));
    }
}
