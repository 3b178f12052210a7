package dev.kleinscope.pipeline;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.CharSpan;
import dev.kleinscope.weights.ModelException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Qwen3's tokenizer and chat template, read from {@code tokenizer.json} by the Rust {@code tokenizers} library.
 *
 * <p>The template is the one of Qwen3 with one user message, a generation prompt and thinking off.
 */
public final class PromptTokenizer implements AutoCloseable {

    /** Fewest tokens that a prompt is padded to. */
    public static final int MIN_TOKENS = 16;
    /** Most tokens that a prompt is padded to. */
    public static final int MAX_TOKENS = 4096;

    private static final String BEFORE = "<|im_start|>user\n";
    private static final String AFTER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
    private static final String PAD = "<|endoftext|>";

    private final HuggingFaceTokenizer tokenizer;
    private final int padId;
    private final int[] before;
    private final int[] after;

    private PromptTokenizer(HuggingFaceTokenizer tokenizer, Path file) {
        this.tokenizer = tokenizer;
        before = encode(BEFORE);
        after = encode(AFTER);
        int[] pad = encode(PAD);
        if (pad.length != 1) {
            throw new ModelException(file + " has no token " + PAD + "; this is not Qwen3's tokenizer");
        }
        padId = pad[0];
    }

    /**
     * @param location {@code tokenizer.json}, or the folder that holds it
     * @throws ModelException if there is none, or it is no tokenizer
     */
    public static PromptTokenizer open(Path location) {
        return TokenizerFile.open(location, PromptTokenizer::new);
    }

    /** Ids of a text, special tokens recognised, nothing added. */
    public int[] encode(String text) {
        return Arrays.stream(tokenizer.encode(text).getIds()).mapToInt(Math::toIntExact).toArray();
    }

    /** What an id stands for; one token can be part of a character, which then shows as U+FFFD. */
    public String token(int id) {
        return tokenizer.decode(new long[] {id}, false);
    }

    /** Whether a text is Unicode that was read without loss. */
    public static boolean encodable(String text) {
        return text.indexOf('\uFFFD') < 0 && StandardCharsets.UTF_8.newEncoder().canEncode(text);
    }

    /**
     * A prompt as the text encoder takes it.
     *
     * @param maxTokens padded length; longer prompts lose their end
     * @throws IllegalArgumentException if the prompt is not valid Unicode
     */
    public Prompt prompt(String text, int maxTokens) {
        if (!encodable(text)) {
            throw new IllegalArgumentException("the prompt is not valid UTF-8");
        }
        int[] all = encode(BEFORE + text + AFTER);
        int[] ids = Arrays.copyOf(all, maxTokens);
        int valid = Math.min(all.length, maxTokens);
        Arrays.fill(ids, valid, maxTokens, padId);
        // A leading line break of the prompt may merge with the template's: that token is the prompt's.
        int prefix = Arrays.mismatch(all, before);
        int promptFrom = Math.min(valid, prefix < 0 ? before.length : Math.min(prefix, before.length));
        int promptTo = Math.clamp(all.length - after.length, promptFrom, Math.max(promptFrom, valid));
        return new Prompt(text, ids, new TokenGroups(promptFrom, promptTo, valid, maxTokens), all.length - valid);
    }

    /**
     * Where in its text the prompt's own tokens stand.
     *
     * @return for each token from promptFrom to promptTo its first code point and the one after its last; a blank before a word is part
     *     of the word's first token
     */
    public int[][] spans(Prompt prompt) {
        CharSpan[] spans = tokenizer.encode(BEFORE + prompt.text() + AFTER).getCharTokenSpans();
        int length = prompt.text().codePointCount(0, prompt.text().length());
        int[][] own = new int[prompt.groups().promptTokens()][];
        for (int i = 0; i < own.length; i++) {
            CharSpan span = spans[prompt.groups().promptFrom() + i];
            // a token that stands for nothing in the text has no span
            own[i] = span == null ? new int[2] : new int[] {Math.clamp(span.getStart() - BEFORE.length(), 0, length),
                Math.clamp(span.getEnd() - BEFORE.length(), 0, length)};
        }
        return own;
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
