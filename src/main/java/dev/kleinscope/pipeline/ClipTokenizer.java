package dev.kleinscope.pipeline;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.kleinscope.weights.ModelComponent;
import dev.kleinscope.weights.ModelException;
import java.util.Arrays;
import tools.jackson.databind.JsonNode;

/**
 * CLIP's tokenizer, read from {@code tokenizer.json} by the Rust {@code tokenizers} library: start of text, tokens, end of
 * text, padding. Source: transformers {@code CLIPTokenizer}.
 */
public final class ClipTokenizer implements AutoCloseable {

    private static final String DEFAULT_PAD = "<|endoftext|>";

    private final HuggingFaceTokenizer tokenizer;
    private final int maxTokens;
    private final int padId;
    private final int endId;

    /**
     * A text as CLIP takes it.
     *
     * @param ids [maxTokens]
     * @param truncated how many tokens of the text were cut off its end to fit
     */
    public record Tokens(int[] ids, int truncated) {
    }

    private ClipTokenizer(HuggingFaceTokenizer tokenizer, ModelComponent component, int maxTokens) {
        int[] frame = encode(tokenizer, "");
        if (frame.length != 2 || maxTokens < 2) {
            throw new ModelException(component.location() + ": expected a tokenizer that adds a start and an end to a text of at least 2"
                    + " tokens, found one that adds " + frame.length + ", for " + maxTokens + "; this is not CLIP's tokenizer");
        }
        this.tokenizer = tokenizer;
        this.maxTokens = maxTokens;
        endId = frame[1];
        padId = padId(component);
    }

    /**
     * @param component a tokenizer's folder
     * @param maxTokens padded length, the model's {@code max_position_embeddings}; longer texts lose their end
     * @throws ModelException if there is none, or it is not CLIP's
     */
    public static ClipTokenizer open(ModelComponent component, int maxTokens) {
        return TokenizerFile.open(component.location(), (tokenizer, _) -> new ClipTokenizer(tokenizer, component, maxTokens));
    }

    /**
     * A text with its start, its end and padding.
     *
     * @throws IllegalArgumentException if the text is not valid Unicode
     */
    public Tokens tokens(String text) {
        if (!PromptTokenizer.encodable(text)) {
            throw new IllegalArgumentException("the text to score is not valid UTF-8");
        }
        int[] all = encode(tokenizer, text);
        int[] ids = Arrays.copyOf(all, maxTokens);
        if (all.length > maxTokens) {
            ids[maxTokens - 1] = endId;
        } else {
            Arrays.fill(ids, all.length, maxTokens, padId);
        }
        return new Tokens(ids, Math.max(0, all.length - maxTokens));
    }

    private static int[] encode(HuggingFaceTokenizer tokenizer, String text) {
        try {
            return Arrays.stream(tokenizer.encode(text, true, false).getIds()).mapToInt(Math::toIntExact).toArray();
        } catch (RuntimeException e) {
            throw new ModelException("the tokenizer of the CLIP model cannot encode a text: " + e.getMessage(), e);
        }
    }

    /** Looked up, not encoded: encoding would take a pad token that is no special one for a word. */
    private static int padId(ModelComponent component) {
        String pad = padToken(component);
        JsonNode file = component.json(TokenizerFile.NAME);
        if (file == null) {
            throw new ModelException(component.location() + ": expected the folder of a tokenizer, with " + TokenizerFile.NAME);
        }
        JsonNode id = file.path("model").path("vocab").path(pad);
        for (JsonNode added : file.path("added_tokens")) {
            if (added.path("content").asString("").equals(pad)) {
                id = added.path("id");
            }
        }
        if (!id.isInt() || id.intValue() < 0) {
            throw new ModelException(component.location() + ": tokenizer.json has no id for the pad token \""
                    + shortened(pad) + "\" of tokenizer_config.json; the two files do not belong together");
        }
        return id.intValue();
    }

    private static String padToken(ModelComponent component) {
        JsonNode pad = component.config() == null ? null : component.config().get("pad_token");
        if (pad == null || pad.isNull()) {
            return DEFAULT_PAD;
        }
        JsonNode content = pad.isObject() ? pad.path("content") : pad;
        if (!content.isString()) {
            throw new ModelException(component.location() + ": tokenizer_config.json: pad_token: expected a token, found "
                    + shortened(pad.toString()));
        }
        return content.stringValue();
    }

    private static String shortened(String text) {
        return text.length() > 40 ? text.substring(0, 40) + "..." : text;
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
