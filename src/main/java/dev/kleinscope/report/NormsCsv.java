package dev.kleinscope.report;

import de.siegmar.fastcsv.writer.CsvWriter;
import de.siegmar.fastcsv.writer.LineDelimiter;
import dev.kleinscope.analysis.NormRow;
import dev.kleinscope.analysis.OriginalNorms;
import dev.kleinscope.analysis.PairedNorms;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * Measured norms as CSV: UTF-8, comma, a header, LF line ends. Numbers are the shortest decimals that read back as the same
 * double; what could not be measured is {@code NaN}.
 */
public final class NormsCsv {

    private NormsCsv() {
    }

    /**
     * One line a measured number: {@code prompt,seed,step,pass,point,stream,measure,value}.
     *
     * @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was
     */
    public static void write(Path target, PairedNorms norms) {
        write(target, csv -> {
            csv.writeRecord("prompt", "seed", "step", "pass", "point", "stream", "measure", "value");
            for (NormRow row : norms.rows()) {
                csv.writeRecord(row.prompt(), Long.toString(row.seed()), Integer.toString(row.step()), row.pass(), row.point(),
                        row.stream(), row.measure(), Double.toString(row.value()));
            }
        });
    }

    /**
     * One line a block, as the original script's table: {@code layer,safe_avg,extreme_avg,ratio}.
     *
     * @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was
     */
    public static void write(Path target, OriginalNorms norms) {
        write(target, csv -> {
            csv.writeRecord("layer", "safe_avg", "extreme_avg", "ratio");
            for (OriginalNorms.Layer layer : norms.layers()) {
                csv.writeRecord(layer.layer(), Double.toString(layer.safeAvg()), Double.toString(layer.extremeAvg()),
                        Double.toString(layer.ratio()));
            }
        });
    }

    private static void write(Path target, Consumer<CsvWriter> records) {
        AtomicFile.write(target, out -> {
            CsvWriter csv = CsvWriter.builder().lineDelimiter(LineDelimiter.LF).build(out);
            records.accept(csv);
            csv.flush();
        });
    }
}
