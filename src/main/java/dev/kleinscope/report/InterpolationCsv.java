package dev.kleinscope.report;

import de.siegmar.fastcsv.writer.CsvWriter;
import de.siegmar.fastcsv.writer.LineDelimiter;
import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.Interpolation.Sample;
import java.nio.file.Path;

/**
 * A sweep between two prompts as CSV, one line an image: UTF-8, comma, a header, LF line ends. Numbers are the shortest
 * decimals that read back as the same double; a score that was not taken is an empty cell, one that failed {@code NaN}.
 */
public final class InterpolationCsv {

    private InterpolationCsv() {
    }

    /**
     * {@code alpha,seed,structural,clip_from,clip_to,noise_sigma,blur,colour_entropy,step}, or for the original protocol
     * {@code alpha,structural,clip_logit} as its script prints them.
     *
     * @throws java.io.UncheckedIOException if the file cannot be written, naming it; a former file stays as it was
     */
    public static void write(Path target, Interpolation sweep) {
        AtomicFile.write(target, out -> {
            CsvWriter csv = CsvWriter.builder().lineDelimiter(LineDelimiter.LF).build(out);
            if (InterpolationData.original(sweep)) {
                csv.writeRecord("alpha", "structural", "clip_logit");
                for (Sample s : sweep.samples()) {
                    csv.writeRecord(Double.toString(s.alpha()), Double.toString(s.structural()), cell(s.clipLogit()));
                }
            } else {
                csv.writeRecord("alpha", "seed", "structural", "clip_from", "clip_to", "noise_sigma", "blur", "colour_entropy",
                        "step");
                for (Sample s : sweep.samples()) {
                    csv.writeRecord(Double.toString(s.alpha()), Long.toString(s.seed()), Double.toString(s.structural()),
                            cell(s.clipFrom()), cell(s.clipTo()), Double.toString(s.noiseSigma()), Double.toString(s.blur()),
                            Double.toString(s.colourEntropy()), cell(s.step()));
                }
            }
            csv.flush();
        });
    }

    private static String cell(Double value) {
        return value == null ? "" : value.toString();
    }
}
