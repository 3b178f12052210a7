package dev.kleinscope.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * What an interrupted run had finished, so that the same run can go on.
 *
 * <p>The first line holds the run's parameters; a run with others is refused rather than mixed in. Each further line is
 * a finished piece, as JSON; a line that an interruption cut short, and whatever follows it, is passed over.
 */
final class Journal {

    static final ObjectMapper JSON = new ObjectMapper();

    private final Path file;
    private final List<JsonNode> entries = new ArrayList<>();

    /**
     * @param parameters what makes the pieces of two runs comparable
     * @throws UserInputException if the file is of an unfinished run with other parameters
     */
    Journal(Path file, Map<String, Object> parameters) {
        this.file = file;
        String head = JSON.writeValueAsString(parameters) + "\n";
        try {
            if (!Files.exists(file)) {
                Files.writeString(file, head);
                return;
            }
            String text = Files.readString(file);
            if (!text.startsWith(head)) {
                throw new UserInputException(file.getParent() + " holds an unfinished run with other parameters; finish that one, remove "
                        + file + ", or name another folder with --out");
            }
            read(text.substring(head.length()));
            Files.writeString(file, head);
            for (JsonNode entry : entries) {
                append(entry);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": " + e.getMessage(), e);
        }
    }

    private void read(String text) {
        for (String line : text.split("\n")) {
            if (line.isEmpty()) {
                continue;
            }
            try {
                entries.add(JSON.readTree(line));
            } catch (JacksonException _) {
                return;
            }
        }
    }

    /** Pieces of the interrupted run. */
    List<JsonNode> entries() {
        return List.copyOf(entries);
    }

    /** Adds a finished piece. */
    void append(Object piece) {
        try {
            Files.writeString(file, JSON.writeValueAsString(piece) + "\n", StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": " + e.getMessage(), e);
        }
    }

    /** The results are written; nothing is left to go on from. */
    void done() {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": " + e.getMessage(), e);
        }
    }
}
