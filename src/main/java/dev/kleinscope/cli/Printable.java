package dev.kleinscope.cli;

import dev.kleinscope.weights.Text;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** Text out of untrusted files, made fit for a terminal. */
final class Printable {

    private static final JsonMapper ASCII = JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT)
            .enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

    private Printable() {
    }

    /** Shortened, with question marks for what a terminal would obey. */
    static String text(String untrusted) {
        return Text.quote(untrusted);
    }

    /** The same values as {@link Console#json}, all that a terminal could obey written as escapes. */
    static String json(Object value) {
        return ASCII.writeValueAsString(value).replace("\u007f", "\\u007f");
    }
}
