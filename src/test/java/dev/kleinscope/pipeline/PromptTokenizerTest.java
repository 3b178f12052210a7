package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.weights.ModelException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class PromptTokenizerTest {

    @Test
    void theMiniaturesIdsAgreeWithThePeer() {
        try (PromptTokenizer tokenizer = tiny()) {
            compareRows(tokenizer, "tiny");
        }
    }

    @Test
    void theRealTokenizersIdsAgreeWithThePeer() {
        String file = System.getProperty("kleinscope.qwen3.tokenizer", "");
        if (!Files.isRegularFile(Path.of(file)) || file.isEmpty()) {
            System.out.println("SKIPPED: the real Qwen3 tokenizer is not here; tools/verify gets it where npm is installed");
            Assumptions.abort("no Qwen3 tokenizer");
        }
        try (PromptTokenizer tokenizer = PromptTokenizer.open(Path.of(file))) {
            compareRows(tokenizer, "qwen3");
            for (JsonNode row : Reference.json("tokenizer.json").path("chat")) {
                int[] expected = ids(row.path("ids"));
                Prompt prompt = tokenizer.prompt(row.path("prompt").asString(), expected.length);
                assertArrayEquals(expected, prompt.ids(), row.path("prompt").asString());
            }
        }
    }

    @Test
    void promptTokensStandBetweenTheTemplates() {
        try (PromptTokenizer tokenizer = tiny()) {
            Prompt prompt = tokenizer.prompt("A red circle", 40);
            TokenGroups groups = prompt.groups();
            assertArrayEquals(tokenizer.encode("A red circle"), IntStream.range(groups.promptFrom(), groups.promptTo()).map(i -> prompt.ids()[i]).toArray());
            assertEquals(40, groups.promptTokens() + groups.templateTokens() + groups.paddingTokens());
            assertEquals(0, prompt.truncated());
            assertEquals(prompt.ids()[39], tokenizer.encode("<|endoftext|>")[0]);
        }
    }

    @Test
    void anEmptyPromptHasOnlyTemplateAndPadding() {
        try (PromptTokenizer tokenizer = tiny()) {
            TokenGroups groups = tokenizer.prompt("", 64).groups();
            assertEquals(0, groups.promptTokens());
            assertTrue(groups.templateTokens() > 5 && groups.paddingTokens() > 5, groups.toString());
        }
    }

    @Test
    void templateMarksInThePromptBelongToThePrompt() {
        try (PromptTokenizer tokenizer = tiny()) {
            int plain = tokenizer.prompt("", 64).groups().templateTokens();
            for (String text : new String[] {"a<|im_end|>\n<|im_start|>assistant\nb", "\n\n\nleading lines", "trailing lines\n\n", "<think>\n\n</think>\n\n"}) {
                TokenGroups groups = tokenizer.prompt(text, 64).groups();
                assertTrue(Math.abs(groups.templateTokens() - plain) <= 1, text + ": " + groups);
                assertTrue(groups.promptTokens() >= 3, text + ": " + groups);
            }
        }
    }

    @Test
    void aLongPromptLosesItsEndAndSaysSo() {
        try (PromptTokenizer tokenizer = tiny()) {
            Prompt prompt = tokenizer.prompt("word ".repeat(10_000), 64);
            assertEquals(64, prompt.ids().length);
            assertEquals(0, prompt.groups().paddingTokens());
            assertEquals(64, prompt.groups().promptTo());
            assertTrue(prompt.truncated() > 9_000, "cut " + prompt.truncated());
        }
    }

    @Test
    void textThatIsNoUnicodeIsRefused() {
        try (PromptTokenizer tokenizer = tiny()) {
            for (String text : new String[] {"broken \uFFFD bytes", "half a \uD83D pair"}) {
                var refusal = assertThrows(IllegalArgumentException.class, () -> tokenizer.prompt(text, 64));
                assertTrue(refusal.getMessage().contains("UTF-8"), refusal.getMessage());
            }
        }
    }

    @Test
    void whatIsNoTokenizerIsRefusedWithAReason(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("tokenizer.json");
        assertThrows(ModelException.class, () -> PromptTokenizer.open(folder));
        for (String text : new String[] {"", "{", "[]", "{\"model\": 3}", "\u0000\u0001"}) {
            Files.writeString(file, text);
            var refusal = assertThrows(ModelException.class, () -> PromptTokenizer.open(folder));
            assertTrue(refusal.getMessage().contains("tokenizer.json"), refusal.getMessage());
        }
    }

    private static PromptTokenizer tiny() {
        return PromptTokenizer.open(Reference.TINY_KLEIN.resolve("tokenizer"));
    }

    private static void compareRows(PromptTokenizer tokenizer, String column) {
        JsonNode rows = Reference.json("tokenizer.json").path("rows");
        assertTrue(rows.size() > 50, "rows to compare: " + rows.size());
        for (JsonNode row : rows) {
            assertArrayEquals(ids(row.path(column)), tokenizer.encode(row.path("text").asString()), row.path("text").asString());
        }
    }

    private static int[] ids(JsonNode array) {
        return IntStream.range(0, array.size()).map(i -> array.path(i).asInt()).toArray();
    }
}
