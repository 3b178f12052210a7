package dev.kleinscope.report;

import static dev.kleinscope.report.PageParts.data;
import static dev.kleinscope.report.PageParts.elements;
import static dev.kleinscope.report.PageParts.markup;
import static dev.kleinscope.report.PageParts.raw;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.analysis.NormRow;
import dev.kleinscope.analysis.PairedNorms;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class NormsReportTest {

    @TempDir
    Path folder;

    @Test
    void hostilePromptsStayDataAndArriveWhole() throws Exception {
        String tame = NormsReport.html(SampleNorms.paired());
        String hostile = NormsReport.html(SampleNorms.paired(SampleNorms.HOSTILE, "word ".repeat(10_000), List.of("cond")));
        assertEquals(raw(tame).size(), raw(hostile).size());
        assertEquals(elements(markup(tame), "*").size(), elements(markup(hostile), "*").size());
        assertEquals(PageParts.frame(tame), PageParts.frame(hostile));
        JsonNode data = data(hostile);
        assertEquals(SampleNorms.HOSTILE, data.get("safe").asString());
        assertEquals(SampleNorms.HOSTILE, data.get("parameters").get("safe").asString());
        assertEquals("word ".repeat(10_000), data.get("extreme").asString());
    }

    @Test
    void foreignTextHasNoCharacterThatMarkupOrReadingDirectionCouldTurnOn() {
        String page = NormsReport.html(SampleNorms.paired(SampleNorms.HOSTILE, SampleNorms.HOSTILE, List.of("cond")));
        String json = raw(page).stream().filter(raw -> raw.group(2).contains("application/json")).findFirst().orElseThrow().group(3);
        assertTrue(json.chars().allMatch(c -> c >= ' ' && c < 127 && c != '<' && c != '>' && c != '&'));
    }

    @Test
    void gridsHoldEveryRowAtItsStepAndSeed() {
        PairedNorms norms = SampleNorms.paired("a", "b", List.of("cond", "uncond"));
        JsonNode data = data(NormsReport.html(norms));
        assertEquals("D0", data.get("axis").get(0).asString());
        assertEquals("S19", data.get("axis").get(24).asString());
        NormRow row = norms.rows().get(norms.rows().size() - 3);
        JsonNode series = data.get("series").valueStream().filter(each -> each.get("point").asString().equals(row.point())
                && each.get("stream").asString().equals(row.stream()) && each.get("measure").asString().equals(row.measure())
                && each.get("pass").asString().equals(row.pass())).findFirst().orElseThrow();
        assertEquals(row.value(), series.get(row.prompt()).get(row.step()).get((int) row.seed()).asDouble(), 1e-8 * row.value());
        long cells = data.get("series").valueStream()
                .mapToLong(each -> 2L * each.get("safe").size() * each.get("safe").get(0).size()).sum();
        assertEquals(norms.rows().size(), cells);
    }

    @Test
    void blocksAreLabelledAsOnTheAxes() {
        assertEquals("D4", NormsData.label("transformer_blocks.4.txt"));
        assertEquals("S19", NormsData.label("single_transformer_blocks.19"));
        assertEquals("D0", NormsData.label("DoubleStream_Layer_0"));
        assertEquals("S7", NormsData.label("SingleStream_Layer_7"));
        assertEquals("proj_out", NormsData.label("proj_out"));
    }

    @Test
    void pointsThatAreNoBlocksOutputKeepTheirNames() {
        JsonNode data = data(NormsReport.html(SampleNorms.points()));
        assertEquals(List.of("time_guidance_embed", "D4.attn.to_q", "D4.attn.to_k", "proj_out"),
                data.get("axis").valueStream().map(JsonNode::asString).toList());
        assertFalse(data.get("blockOutputs").asBoolean());
        assertEquals(List.of("D4.attn.to_k"), data.get("blocks").valueStream()
                .filter(point -> point.get("point").asString().endsWith("to_k")).map(point -> point.get("label").asString()).toList());
        assertTrue(data(NormsReport.html(SampleNorms.paired())).get("blockOutputs").asBoolean());
    }

    @Test
    void aRunThatMeasuredNothingIsRefusedWithWhatToDo() {
        PairedNorms empty = new PairedNorms("a", "b", List.of(), List.of(), List.of(), List.of(), Map.of(), Map.of(), "", List.of());
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> NormsReport.html(empty));
        assertTrue(e.getMessage().contains("watch a block's output"), e.getMessage());
    }

    @Test
    void theFileHoldsThePage() throws IOException {
        PairedNorms norms = SampleNorms.paired();
        Path target = folder.resolve("report.html");
        NormsReport.write(target, norms);
        assertEquals(NormsReport.html(norms), Files.readString(target));
    }
}
