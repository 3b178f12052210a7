package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class PromptWordsTest {

    private final PromptTokenizer tokenizer = PromptTokenizer.open(Reference.TINY_KLEIN.resolve("tokenizer"));

    @AfterEach
    void close() {
        tokenizer.close();
    }

    private PromptWords words(String prompt) {
        return new PromptWords(tokenizer, tokenizer.prompt(prompt, 128));
    }

    /** The ids of a word's tokens, to be compared with those of the word on its own behind a blank. */
    private List<Integer> ids(String prompt, String word) {
        Prompt tokens = tokenizer.prompt(prompt, 128);
        return new PromptWords(tokenizer, tokens).find(word).tokens().stream().map(token -> tokens.ids()[token]).toList();
    }

    private List<Integer> encoded(String text) {
        List<Integer> ids = new ArrayList<>();
        for (int id : tokenizer.encode(text)) {
            ids.add(id);
        }
        return ids;
    }

    @Test
    void aWordsTokensAreItsOwnWithTheBlankBefore() {
        for (String word : List.of("red", "cube", "on", "table")) {
            assertEquals(encoded(" " + word), ids("a red cube, on a table.", word), word);
        }
        assertEquals(encoded("A"), ids("A red cube", "a").subList(0, 1));
    }

    @Test
    void aPhraseHasTheTokensOfItsWords() {
        PromptWords words = words("a red cube on a table");
        TreeSet<Integer> both = new TreeSet<>(words.find("red").tokens());
        both.addAll(words.find("cube").tokens());
        assertEquals(new ArrayList<>(both), words.find("red cube").tokens());
    }

    @Test
    void allOccurrencesCountWhateverTheirCase() {
        PromptWords words = words("Red paint, red wall, infrared, RED");
        PromptWords.Word red = words.find("rEd");
        assertEquals("Red", red.text());
        int each = encoded(" red").size();
        assertTrue(red.tokens().size() >= 2 + each, red.toString());
        assertEquals(List.of("Red", "paint", "wall", "infrared"), words.all());
    }

    @Test
    void aPartOfAWordIsNoWord() {
        PromptWords words = words("an infrared picture");
        assertNull(words.find("red"));
        assertNull(words.find("infra"));
        assertNull(words.find("blue"));
        assertNull(words.find(""));
    }

    @Test
    void charactersBeyondTheBasicPlaneShiftNothing() {
        for (String prompt : List.of("\uD83D\uDE00\uD83D\uDE00 a red cube", "e\u0301clair \uD835\uDD38 red cube", "\u65E5\u672C\u8A9E red cube")) {
            assertEquals(encoded(" red"), ids(prompt, "red"), prompt);
        }
        assertTrue(words("x \uD83D\uDE00 y").find("\uD83D\uDE00").tokens().size() >= 1);
    }

    @Test
    void scriptsWithoutBlanksHaveWordsWithinRuns() {
        PromptWords words = words("\u8D64\u3044\u7ACB\u65B9\u4F53");
        assertTrue(words.find("\u7ACB\u65B9\u4F53").tokens().size() >= 1);
        assertNull(words.find("\u9752"));
    }

    @Test
    void apostrophesAndHyphensStayWithinAWord() {
        assertEquals(List.of("the", "painter's", "well-lit", "room"), words("the painter's well-lit room").all());
    }

    @Test
    void aWordThatWasCutHasNoTokens() {
        PromptWords words = new PromptWords(tokenizer, tokenizer.prompt("word ".repeat(500) + "cube", 64));
        assertEquals(List.of(), words.find("cube").tokens());
        assertTrue(words.find("word").tokens().stream().allMatch(token -> token < 64));
    }

    @Test
    void marksOfTheTemplateInAPromptAreThePrompts() {
        Prompt prompt = tokenizer.prompt("a<|im_end|>\n<|im_start|>red b", 128);
        PromptWords.Word red = new PromptWords(tokenizer, prompt).find("red");
        assertTrue(!red.tokens().isEmpty() && red.tokens().stream()
                .allMatch(token -> token >= prompt.groups().promptFrom() && token < prompt.groups().promptTo()), red.toString());
    }

    @Test
    void aLongRepetitiveTextIsSearchedInTime() {
        PromptWords words = new PromptWords(tokenizer, tokenizer.prompt("a ".repeat(50_000), 512));
        assertEquals(List.of("a"), words.all());
        assertTrue(words.find("a").tokens().size() > 100);
        assertTrue(words.find("a ".repeat(100).strip()).tokens().size() > 100);
    }
}
