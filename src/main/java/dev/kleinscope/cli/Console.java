package dev.kleinscope.cli;

import java.io.PrintWriter;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * Where a command writes: results on standard output, everything about the run on standard error.
 *
 * @param out results, and nothing else
 * @param err progress and notes
 * @param quiet whether progress and notes are left out
 * @param terminal whether a person watches standard error, so that a line may be redrawn
 * @param columns the terminal's width in characters
 */
public record Console(PrintWriter out, PrintWriter err, boolean quiet, boolean terminal, int columns) {

    private static final int DEFAULT_COLUMNS = 80;

    /**
     * Writes to these two. What the launcher saw of the terminal comes as system properties: Java itself can only tell
     * whether all three streams are one.
     */
    static Console of(PrintWriter out, PrintWriter err, boolean quiet) {
        return new Console(out, err, quiet, Boolean.getBoolean("kleinscope.terminal"),
                Integer.getInteger("kleinscope.columns", DEFAULT_COLUMNS));
    }

    /** A line of the result. */
    public void result(String line) {
        out.println(line);
        out.flush();
    }

    /** The whole result as indented JSON: records, maps, lists and numbers. */
    public void json(Object result) {
        result(JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build().writeValueAsString(result));
    }

    /** A remark on the run, left out by {@code --quiet}. */
    public void note(String line) {
        if (!quiet) {
            err.println(line);
            err.flush();
        }
    }

    /** Shows how far a task of so many steps is. */
    public Progress progress(String task, long steps) {
        return Progress.start(this, task, steps);
    }
}
