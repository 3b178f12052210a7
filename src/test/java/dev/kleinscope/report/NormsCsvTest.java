package dev.kleinscope.report;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.kleinscope.analysis.NormRow;
import dev.kleinscope.analysis.OriginalNorms;
import dev.kleinscope.analysis.PairedNorms;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NormsCsvTest {

    @TempDir
    Path folder;

    @Test
    void pairedRowsAreWrittenInOrderWithEveryDigit() throws IOException {
        List<NormRow> rows = List.of(
                new NormRow("safe", Long.MAX_VALUE, 0, "cond", "transformer_blocks.4.img", "image", "n", 0.1 + 0.2),
                new NormRow("extreme", -1, 3, "uncond", "single_transformer_blocks.19", "padding", "kappa", Double.NaN));
        Path target = folder.resolve("norms.csv");
        NormsCsv.write(target, new PairedNorms("a", "b", List.of(), List.of(), rows, List.of(), Map.of(), Map.of(), "", List.of()));
        assertEquals("""
                prompt,seed,step,pass,point,stream,measure,value
                safe,9223372036854775807,0,cond,transformer_blocks.4.img,image,n,0.30000000000000004
                extreme,-1,3,uncond,single_transformer_blocks.19,padding,kappa,NaN
                """, Files.readString(target));
    }

    @Test
    void originalLayersAreWrittenAsTheScriptPrintsThem() throws IOException {
        List<OriginalNorms.Layer> layers = List.of(
                new OriginalNorms.Layer("DoubleStream_Layer_0", 4, 5, List.of(4.0), List.of(5.0)),
                new OriginalNorms.Layer("SingleStream_Layer_19", 3, 1, List.of(3.0), List.of(1.0)));
        Path target = folder.resolve("norms.csv");
        NormsCsv.write(target, new OriginalNorms(layers, List.of(), Map.of(), "", List.of()));
        assertEquals("""
                layer,safe_avg,extreme_avg,ratio
                DoubleStream_Layer_0,4.0,5.0,1.25
                SingleStream_Layer_19,3.0,1.0,0.3333333333333333
                """, Files.readString(target));
    }

    @Test
    void everyRowOfARunIsThere() throws IOException {
        PairedNorms norms = SampleNorms.paired();
        Path target = folder.resolve("norms.csv");
        NormsCsv.write(target, norms);
        assertEquals(norms.rows().size() + 1, Files.readAllLines(target).size());
    }
}
