package dev.kleinscope.pipeline;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.kleinscope.weights.ModelException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** How a {@code tokenizer.json} is opened. */
final class TokenizerFile {

    static final String NAME = "tokenizer.json";

    private static final long MAX_BYTES = 256L << 20;

    private TokenizerFile() {
    }

    /** What a tokenizer is made into. */
    interface Reader<T> {
        T read(HuggingFaceTokenizer tokenizer, Path file);
    }

    /**
     * Opens a tokenizer that neither pads nor truncates; closes it again if {@code reader} fails.
     *
     * @param location {@code tokenizer.json}, or the folder that holds it
     * @param reader makes of it what is returned, and owns it from then on
     * @throws ModelException if there is none, or it is no tokenizer
     */
    static <T> T open(Path location, Reader<T> reader) {
        Path file = Files.isDirectory(location) ? location.resolve(NAME) : location;
        try {
            if (!Files.isRegularFile(file)) {
                throw new ModelException("no tokenizer at " + file + "; a model folder has tokenizer/tokenizer.json");
            }
            if (Files.size(file) > MAX_BYTES) {
                throw new ModelException(file + " has " + Files.size(file) + " bytes; a tokenizer.json has at most " + MAX_BYTES);
            }
            TokenizerLibrary.prepare();
            return read(HuggingFaceTokenizer.builder().optTokenizerPath(file).optPadding(false).optTruncation(false).build(),
                    file, reader);
        } catch (IOException e) {
            throw new ModelException("cannot read " + file + ": " + e.getMessage(), e);
        } catch (ModelException e) {
            throw e;
        } catch (RuntimeException e) {
            throw new ModelException(file + " is not a tokenizer that can be read: " + e.getMessage(), e);
        }
    }

    private static <T> T read(HuggingFaceTokenizer tokenizer, Path file, Reader<T> reader) {
        try {
            return reader.read(tokenizer, file);
        } catch (Throwable e) {
            tokenizer.close();
            throw e;
        }
    }
}
