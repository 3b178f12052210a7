package dev.kleinscope.report;

import de.siegmar.fastcsv.writer.CsvWriter;
import de.siegmar.fastcsv.writer.LineDelimiter;
import dev.kleinscope.analysis.Patching;
import java.nio.file.Path;

/**
 * Activation patching as CSV, one line a value: UTF-8, comma, a header, LF line ends. Numbers are the shortest decimals that read back
 * as the same double. The step is empty where all were patched at once.
 */
public final class PatchCsv {

    private PatchCsv() {
    }

    /**
     * {@code point,stream,step,seed,source,metric,value}.
     *
     * @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was
     */
    public static void write(Path target, Patching patching) {
        AtomicFile.write(target, out -> {
            CsvWriter csv = CsvWriter.builder().lineDelimiter(LineDelimiter.LF).build(out);
            csv.writeRecord("point", "stream", "step", "seed", "source", "metric", "value");
            for (Patching.Cell cell : patching.cells()) {
                cell.values().forEach((metric, value) -> csv.writeRecord(cell.point(), cell.stream(),
                        cell.step() == null ? "" : cell.step().toString(), Long.toString(cell.seed()), cell.source(), metric.label(),
                        value.toString()));
            }
            csv.flush();
        });
    }
}
