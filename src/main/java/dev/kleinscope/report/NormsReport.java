package dev.kleinscope.report;

import dev.kleinscope.analysis.OriginalNorms;
import dev.kleinscope.analysis.PairedNorms;
import java.nio.file.Path;

/**
 * Measured norms as one HTML file that needs nothing else: figures, tables, parameters and how to read them. It asks no
 * network for anything, and its content security policy would not let it.
 */
public final class NormsReport {

    private NormsReport() {
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void write(Path target, PairedNorms norms) {
        String page = html(norms);
        AtomicFile.write(target, out -> out.write(page));
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void write(Path target, OriginalNorms norms) {
        String page = html(norms);
        AtomicFile.write(target, out -> out.write(page));
    }

    static String html(PairedNorms norms) {
        return HtmlPage.titled("Norms of a prompt pair").body("paired.html").charts()
                .script("selection.js", "figures.js", "paired.js").data(NormsData.of(norms)).html();
    }

    static String html(OriginalNorms norms) {
        return HtmlPage.titled("The original spike detector").body("original.html").charts()
                .script("original.js").data(NormsData.of(norms)).html();
    }
}
