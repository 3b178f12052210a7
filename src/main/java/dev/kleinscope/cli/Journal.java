package dev.kleinscope.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
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
 * a finished piece, as JSON; a line that an interruption cut short, and whatever follows it, is passed over. The file is made
 * with the first piece, so that a run that fails before leaves none.
 */
final class Journal {

    static final ObjectMapper JSON = new ObjectMapper();

    private final Path file;
    private final String head;
    /** Whether the file there is this run's. */
    private boolean begun;
    private final List<JsonNode> entries = new ArrayList<>();

    /**
     * @param parameters what makes the pieces of two runs comparable
     * @throws UserInputException if the file is of an unfinished run with other parameters
     */
    Journal(Path file, Map<String, Object> parameters) {
        this.file = file;
        head = JSON.writeValueAsString(parameters) + "\n";
        try {
            if (!Files.exists(file)) {
                return;
            }
            String text = written();
            if (text.startsWith(head)) {
                read(text.substring(head.length()));
                begun = !entries.isEmpty();
            } else if (text.lines().limit(2).count() == 2) {
                throw foreign();
            }
            if (!begun) {
                Files.delete(file);
            } else if (!text.equals(text(entries))) {
                replace(text(entries));
            }
        } catch (IOException e) {
            throw failure(e);
        }
    }

    /** A piece that was cut within a letter is passed over like any other. */
    private String written() throws IOException {
        return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
    }

    private UserInputException foreign() {
        return new UserInputException(file.getParent() + " holds an unfinished run with other parameters; finish that one, remove " + file
                + ", or name another folder with --out");
    }

    private String text(List<?> pieces) {
        StringBuilder text = new StringBuilder(head);
        pieces.forEach(piece -> text.append(JSON.writeValueAsString(piece)).append('\n'));
        return text.toString();
    }

    /** Whole or not at all: a full disk must not take what was finished before. */
    private void replace(String text) throws IOException {
        Path whole = file.resolveSibling(file.getFileName() + ".tmp");
        try {
            Files.writeString(whole, text);
            Files.move(whole, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(whole);
        }
    }

    private UncheckedIOException failure(IOException e) {
        return new UncheckedIOException(file + ": " + e.getMessage(), e);
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
            if (Files.exists(file)) {
                if (!begun && !written().startsWith(head)) {
                    throw foreign();
                }
                Files.writeString(file, JSON.writeValueAsString(piece) + "\n", StandardOpenOption.APPEND);
            } else {
                Files.writeString(file, text(List.of(piece)), StandardOpenOption.CREATE_NEW);
            }
            begun = true;
        } catch (IOException e) {
            throw failure(e);
        }
    }

    /** The results are written; nothing is left to go on from. */
    void done() {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw failure(e);
        }
    }
}
