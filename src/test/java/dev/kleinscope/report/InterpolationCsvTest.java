package dev.kleinscope.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.Interpolation.Sample;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InterpolationCsvTest {

    @TempDir
    Path folder;

    @Test
    void pairedSamplesAreWrittenInOrderWithEveryDigitAndEmptyCellsForWhatWasNotTaken() throws IOException {
        assertEquals("""
                alpha,seed,structural,clip_from,clip_to,noise_sigma,blur,colour_entropy,step
                0.0,-7,4685.25,,,1.5,0.25,8.0,
                0.30000000000000004,-7,NaN,27.5,26.25,0.0,1.0,0.0,0.125
                """, written("paired"));
    }

    @Test
    void originalSamplesAreWrittenAsTheScriptPrintsThem() throws IOException {
        assertEquals("""
                alpha,structural,clip_logit
                0.0,4685.25,
                0.30000000000000004,NaN,20.5
                """, written("original"));
    }

    @Test
    void anUnknownProtocolIsRefusedAndNothingWritten() {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> written("other"));
        assertTrue(e.getMessage().contains("expected paired or original, found other"), e.getMessage());
        assertTrue(Files.notExists(folder.resolve("sweep.csv")));
    }

    private String written(String protocol) throws IOException {
        List<Sample> samples = List.of(new Sample(0, -7, null, 4685.25, 1.5, 0.25, 8, null, null, null, null),
                new Sample(0.1 + 0.2, -7, "a.png", Double.NaN, 0, 1, 0, 0.125, 27.5, 26.25, 20.5));
        Path target = folder.resolve("sweep.csv");
        InterpolationCsv.write(target, new Interpolation(protocol, "a", "b", List.of(0.0, 0.1 + 0.2), List.of(-7L), samples,
                List.of(), null, Map.of(), "", List.of()));
        return Files.readString(target);
    }
}
