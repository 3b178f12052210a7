package dev.kleinscope.report;

import de.siegmar.fastcsv.writer.CsvWriter;
import de.siegmar.fastcsv.writer.LineDelimiter;
import dev.kleinscope.analysis.ChannelCell;
import dev.kleinscope.analysis.Channels;
import java.nio.file.Path;
import java.util.List;

/**
 * The strongest channels and tokens as CSV: UTF-8, comma, a header, LF line ends. Numbers are the shortest decimals that read back as
 * the same double; what has no value, such as a share of no energy, is {@code NaN}.
 */
public final class ChannelsCsv {

    private ChannelsCsv() {
    }

    /**
     * One line for each channel and token of each forward's strongest: {@code prompt,seed,step,pass,point,stream,tokens,norm,
     * norm_without_top,massive_channels,norm_without_massive,kind,rank,index,text,share,times_median,massive}.
     *
     * @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was
     */
    public static void write(Path target, Channels channels) {
        AtomicFile.write(target, out -> {
            CsvWriter csv = CsvWriter.builder().lineDelimiter(LineDelimiter.LF).build(out);
            csv.writeRecord("prompt", "seed", "step", "pass", "point", "stream", "tokens", "norm", "norm_without_top", "massive_channels",
                    "norm_without_massive", "kind", "rank", "index", "text", "share", "times_median", "massive");
            for (ChannelCell cell : channels.cells()) {
                lines(csv, cell, "channel", cell.channels());
                lines(csv, cell, "token", cell.strongestTokens());
            }
            csv.flush();
        });
    }

    private static void lines(CsvWriter csv, ChannelCell cell, String kind, List<ChannelCell.Part> parts) {
        for (int rank = 0; rank < parts.size(); rank++) {
            ChannelCell.Part part = parts.get(rank);
            csv.writeRecord(Integer.toString(cell.prompt()), Long.toString(cell.seed()), Integer.toString(cell.step()), cell.pass(),
                    cell.point(), cell.stream(), Integer.toString(cell.tokens()), Double.toString(cell.norm()),
                    Double.toString(cell.normWithoutTop()), Integer.toString(cell.massive()), Double.toString(cell.normWithoutMassive()),
                    kind, Integer.toString(rank + 1), Integer.toString(part.index()), part.text(), Double.toString(part.share()),
                    Double.toString(part.timesMedian()), kind.equals("token") ? "" : Boolean.toString(part.massive()));
        }
    }
}
