package dev.kleinscope.report;

import dev.kleinscope.analysis.Attention;
import java.nio.file.Path;

/**
 * A look at attention as one HTML file that needs nothing else: maps of the words beside the picture, every head of every block, the
 * numbers and how to read them. It asks no network for anything, and its content security policy would not let it.
 */
public final class AttentionReport {

    private AttentionReport() {
    }

    /**
     * @param picturePng the drawn picture, small, as {@link Thumbnail#png} makes it; null where none was decoded
     * @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was
     */
    public static void write(Path target, Attention attention, byte[] picturePng) {
        String page = html(attention, picturePng);
        AtomicFile.write(target, out -> out.write(page));
    }

    static String html(Attention attention, byte[] picturePng) {
        return HtmlPage.titled("Where the heads look").body("attention.html").script("attention.js")
                .data(AttentionData.of(attention, picturePng)).html();
    }
}
