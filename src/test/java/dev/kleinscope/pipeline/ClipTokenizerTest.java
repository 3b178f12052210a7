package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.pipeline.validate.ReferenceCase;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.ModelFiles;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.node.ObjectNode;

class ClipTokenizerTest {

    private static ClipTokenizer open(ModelFiles files, int maxTokens) {
        return ClipTokenizer.open(files.component(ComponentKind.TOKENIZER), maxTokens);
    }

    private static ClipTokenizer bundled(int maxTokens) {
        return open(ModelFiles.resolve(ClipFolder.BUNDLED.toString()), maxTokens);
    }

    @Test
    void idsAreThoseOfTransformersPaddingIncluded() {
        JsonNode metrics = Resources.json("reference/cases/image-metrics.json");
        try (ClipTokenizer tokenizer = bundled(77);
                ReferenceCase reference = ReferenceCase.open(Resources.path("reference/cases/clip.safetensors"))) {
            assertEquals(4, metrics.size());
            for (int i = 0; i < metrics.size(); i++) {
                ClipTokenizer.Tokens tokens = tokenizer.tokens(metrics.get(i).get("text").asString());
                assertArrayEquals(reference.integers(i + ".input_ids", 1), tokens.ids());
                assertEquals(0, tokens.truncated());
            }
        }
    }

    @Test
    void aLongTextLosesItsLastTokensAndKeepsItsEnd() {
        String text = "A bucket of red paint spilled on a wooden floor";
        try (ClipTokenizer whole = bundled(77); ClipTokenizer narrow = bundled(6); ClipTokenizer exact = bundled(12)) {
            int[] ids = whole.tokens(text).ids();
            int[] cut = Arrays.copyOf(ids, 6);
            cut[5] = 2;
            assertArrayEquals(cut, narrow.tokens(text).ids());
            assertEquals(6, narrow.tokens(text).truncated());
            assertArrayEquals(Arrays.copyOf(ids, 12), exact.tokens(text).ids());
            assertEquals(0, exact.tokens(text).truncated());
            ClipTokenizer.Tokens endless = whole.tokens("red ".repeat(2000));
            assertEquals(77, endless.ids().length);
            assertEquals(2, endless.ids()[76]);
            assertEquals(endless.ids()[1], endless.ids()[75]);
            assertTrue(endless.truncated() > 1000, endless.toString());
        }
    }

    @Test
    void anEmptyTextIsItsStartAndItsEnd() {
        try (ClipTokenizer tokenizer = bundled(5)) {
            assertArrayEquals(new int[] {0, 2, 2, 2, 2}, tokenizer.tokens("").ids());
        }
    }

    @Test
    void thePadTokenIsLookedUpAndNotTakenForAWord(@TempDir Path folder) {
        ClipFolder copy = new ClipFolder(folder).replace("tokenizer_config.json", "\"pad_token\": \"<|endoftext|>\"",
                "\"pad_token\": {\"content\": \"!\"}");
        JsonNode vocabulary = new ObjectMapper().readTree(folder.resolve("tokenizer.json"))
                .get("model").get("vocab");
        int pad = vocabulary.get("!").asInt();
        try (ClipTokenizer tokenizer = open(copy.files(), 5)) {
            int[] ids = tokenizer.tokens("!").ids();
            assertArrayEquals(new int[] {0, vocabulary.get("!</w>").asInt(), 2, pad, pad}, ids);
            assertTrue(ids[1] != pad, Arrays.toString(ids));
        }
        copy.write("tokenizer_config.json", "{}");
        try (ClipTokenizer tokenizer = open(copy.files(), 4)) {
            assertArrayEquals(new int[] {0, 2, 2, 2}, tokenizer.tokens("").ids());
        }
    }

    @Test
    void textThatIsNoUnicodeIsRefused() {
        try (ClipTokenizer tokenizer = bundled(77)) {
            IllegalArgumentException error = assertThrows(IllegalArgumentException.class, () -> tokenizer.tokens("a\ud800"));
            assertTrue(error.getMessage().contains("is not valid UTF-8"), error.getMessage());
        }
    }

    @Test
    void whatIsNotClipsTokenizerIsRefused(@TempDir Path folder) {
        ClipFolder bare = new ClipFolder(folder);
        JsonNode json = new ObjectMapper().readTree(folder.resolve("tokenizer.json"));
        refused(bare.write("tokenizer.json", ((ObjectNode) json).putNull("post_processor").toString()), "this is not CLIP's tokenizer");
        refused(new ClipFolder(folder).write("tokenizer_config.json", "{\"pad_token\": \"nothing\"}"),
                "no id for the pad token \"nothing\"");
        refused(new ClipFolder(folder).write("tokenizer_config.json", "{\"pad_token\": 5}"), "pad_token: expected a token, found 5");
        refused(new ClipFolder(folder).write("tokenizer.json", "{}"), "is not a tokenizer that can be read");
    }

    private static void refused(ClipFolder folder, String message) {
        ModelException error = assertThrows(ModelException.class, () -> open(folder.files(), 77));
        assertTrue(error.getMessage().contains(message), error.getMessage());
    }
}
