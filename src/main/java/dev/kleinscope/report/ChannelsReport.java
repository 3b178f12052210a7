package dev.kleinscope.report;

import dev.kleinscope.analysis.Channels;
import java.nio.file.Path;

/**
 * What carries the streams' energy, as a page and as a JSON document. The page needs nothing else and asks no network for anything.
 *
 * <p>The document: {@code schema}, {@code prompts}, {@code parameters}, {@code finding}, {@code limits}, {@code top} (how many channels
 * of a forward are taken), {@code criterion} and {@code summaries}, one for each point and stream, over all {@code forwards}: geometric
 * means {@code norm}, {@code norm_without_top} and {@code norm_without_massive}, the mean {@code share} of the strongest channels, the
 * most {@code massive} channels in a forward, and the 16 most frequent {@code channels} and {@code tokens}, each with {@code forwards}
 * (in how many it was among the strongest), mean {@code share} and largest {@code times_median}.
 */
public final class ChannelsReport {

    /** First field of the document. */
    public static final String SCHEMA = "kleinscope.channels/1";

    private ChannelsReport() {
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void writePage(Path target, Channels channels) {
        String page = html(channels);
        AtomicFile.write(target, out -> out.write(page));
    }

    /** @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was */
    public static void writeJson(Path target, Channels channels) {
        AtomicFile.write(target, out -> out.write(json(channels)));
    }

    /** The document as text, ending in a line feed. */
    public static String json(Channels channels) {
        return Json.pretty(ChannelsData.document(channels));
    }

    static String html(Channels channels) {
        return HtmlPage.titled("What carries the norm").body("channels.html").charts().script("channels.js")
                .data(ChannelsData.page(channels)).html();
    }
}
