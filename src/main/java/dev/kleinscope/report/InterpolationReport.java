package dev.kleinscope.report;

import dev.kleinscope.analysis.Interpolation;
import java.nio.file.Path;
import java.util.function.Function;

/**
 * A sweep between two prompts as one HTML file that needs nothing else: figures, images, table, parameters and how to read
 * them. It asks no network for anything, and its content security policy would not let it.
 */
public final class InterpolationReport {

    private InterpolationReport() {
    }

    /**
     * @param thumbnailPng a small picture of a sample, as {@link Thumbnail#png} makes it, or null where no pixels were kept
     * @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was
     * @throws IllegalArgumentException for a sweep without samples, or a thumbnail that is no PNG
     */
    public static void write(Path target, Interpolation sweep, Function<Interpolation.Sample, byte[]> thumbnailPng) {
        String page = html(sweep, thumbnailPng);
        AtomicFile.write(target, out -> out.write(page));
    }

    static String html(Interpolation sweep, Function<Interpolation.Sample, byte[]> thumbnailPng) {
        boolean original = InterpolationData.original(sweep);
        return HtmlPage.titled(original ? "The original threshold drop" : "A sweep between two prompts")
                .body(original ? "sweep-original.html" : "sweep-paired.html").charts()
                .script("sweep.js", original ? "sweep-original.js" : "sweep-paired.js")
                .data(InterpolationData.of(sweep, thumbnailPng)).html();
    }
}
