package dev.kleinscope.report;

import de.siegmar.fastcsv.writer.CsvWriter;
import de.siegmar.fastcsv.writer.LineDelimiter;
import dev.kleinscope.analysis.Attention;
import dev.kleinscope.analysis.TokenSets;
import java.nio.file.Path;
import java.util.List;

/** Attention as CSV: UTF-8, comma, a header, LF line ends. Numbers are the shortest decimals that read back as the same double. */
public final class AttentionCsv {

    private AttentionCsv() {
    }

    /**
     * One line a measured number: {@code step,pass,block,head,from,to,word,measure,value}. {@code measure} is {@code entropy} of the
     * queries in {@code from}, then without {@code to}, or the {@code share} of their attention that goes to {@code to}; {@code word}
     * tells which word, where either is one. Shares of words are those of the image's queries.
     *
     * @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was
     */
    public static void write(Path target, Attention attention) {
        AtomicFile.write(target, out -> {
            CsvWriter csv = CsvWriter.builder().lineDelimiter(LineDelimiter.LF).build(out);
            csv.writeRecord("step", "pass", "block", "head", "from", "to", "word", "measure", "value");
            for (Attention.Cell cell : attention.cells()) {
                List<TokenSets.Named> sets = attention.tokens().get(cell.pass()).sets();
                TokenSets.Named from = sets.get(cell.from());
                line(csv, cell, from.name(), "", from.word(), "entropy", cell.entropy());
                for (int i = 0; i < sets.size(); i++) {
                    TokenSets.Named to = sets.get(i);
                    if (to.word() == null || from.name().equals(TokenSets.IMAGE)) {
                        line(csv, cell, from.name(), to.name(), to.word() == null ? from.word() : to.word(), "share", cell.shares()[i]);
                    }
                }
            }
            csv.flush();
        });
    }

    private static void line(CsvWriter csv, Attention.Cell cell, String from, String to, String word, String measure, double value) {
        csv.writeRecord(Integer.toString(cell.step()), cell.pass(), cell.block(), Integer.toString(cell.head()), from, to,
                word == null ? "" : word, measure, Double.toString(value));
    }
}
