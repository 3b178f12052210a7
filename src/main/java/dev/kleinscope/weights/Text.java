package dev.kleinscope.weights;

import java.util.Locale;

/** Wording shared by messages about files. */
public final class Text {

    private static final int LONGEST = 120;

    private Text() {
    }

    /** A name out of a file, fit to be printed: shortened, control characters and lone surrogates replaced. */
    public static String quote(String name) {
        StringBuilder text = new StringBuilder();
        name.codePoints().limit(LONGEST).forEach(c -> {
            int type = Character.getType(c);
            boolean printable = type != Character.CONTROL && type != Character.FORMAT && type != Character.SURROGATE
                    && type != Character.UNASSIGNED && type != Character.LINE_SEPARATOR
                    && type != Character.PARAGRAPH_SEPARATOR;
            text.appendCodePoint(printable ? c : '?');
        });
        return text.append(name.codePointCount(0, name.length()) > LONGEST ? "..." : "").toString();
    }

    /** A size in bytes with its unit: exact below a kilobyte, else with the bytes and a rounded size. */
    public static String bytes(long bytes) {
        if (bytes < 1_000_000) {
            return bytes + " bytes";
        }
        return String.format(Locale.ROOT, bytes < 1_000_000_000 ? "%.1f MB (%d bytes)" : "%3$.2f GB (%2$d bytes)",
                bytes / 1e6, bytes, bytes / 1e9);
    }
}
