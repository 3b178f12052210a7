package dev.kleinscope.report;

import static dev.kleinscope.report.PageParts.data;
import static dev.kleinscope.report.PageParts.elements;
import static dev.kleinscope.report.PageParts.markup;
import static dev.kleinscope.report.PageParts.raw;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.analysis.ChannelCell;
import dev.kleinscope.analysis.Channels;
import dev.kleinscope.analysis.ChannelsSummary;
import dev.kleinscope.analysis.Massive;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ChannelsReportTest {

    @TempDir
    Path folder;

    private static Channels sample(String text) {
        ChannelCell cell = new ChannelCell(1, Long.MAX_VALUE, 0, "cond", "transformer_blocks.4.txt", "prompt", 3, 64, 10, 4, 1, Double.NaN,
                List.of(new ChannelCell.Part(7, "", 0.84, 1e4, true)), List.of(new ChannelCell.Part(2, text, 0.5, 1.5, false)));
        List<ChannelsSummary.Recurring> many = IntStream.range(0, 40)
                .mapToObj(i -> new ChannelsSummary.Recurring(i, text, 1, 0.84, 1e4, 1)).toList();
        ChannelsSummary summary = new ChannelsSummary("transformer_blocks.4.txt", "prompt", 1, 64, 10, 4, 0.84, 1, Double.NaN, many, many);
        ChannelsSummary inner = new ChannelsSummary("transformer_blocks.4.attn.to_q", "image", 1, 64, 10, 4, 0.84, 1, 4, many, many);
        return new Channels(List.of(text), List.of("transformer_blocks.4.txt"), List.of(cell), List.of(summary, inner), Massive.PAPER, 1,
                Map.of("prompts", List.of(text)), "found", List.of("limit"));
    }

    @Test
    void hostilePromptsAndTokensStayDataAndArriveWhole() throws Exception {
        String tame = ChannelsReport.html(sample("red"));
        String hostile = ChannelsReport.html(sample(SampleNorms.HOSTILE));
        assertEquals(raw(tame).size(), raw(hostile).size());
        assertEquals(elements(markup(tame), "*").size(), elements(markup(hostile), "*").size());
        assertEquals(PageParts.frame(tame), PageParts.frame(hostile));
        JsonNode data = data(hostile);
        assertEquals(SampleNorms.HOSTILE, data.get("prompts").get(0).asString());
        assertEquals(SampleNorms.HOSTILE, data.get("summaries").get(0).get("tokens").get(0).get("text").asString());
    }

    @Test
    void thePageHasBlocksOnItsAxisAndOtherPointsInItsTable() {
        JsonNode data = data(ChannelsReport.html(sample("red")));
        assertEquals(1, data.get("axis").size());
        assertEquals("D4", data.get("axis").get(0).asString());
        assertTrue(data.get("summaries").get(0).get("onAxis").asBoolean());
        assertTrue(!data.get("summaries").get(1).get("onAxis").asBoolean());
        assertEquals(16, data.get("summaries").get(0).get("channels").size());
    }

    @Test
    void theDocumentAndTheTableHoldTheNumbers() throws Exception {
        ChannelsReport.writeJson(folder.resolve("channels.json"), sample("red"));
        JsonNode json = JsonMapper.shared().readTree(folder.resolve("channels.json").toFile());
        assertEquals("kleinscope.channels/1", json.get("schema").asString());
        assertEquals(0.84, json.get("summaries").get(0).get("share").asDouble());
        assertTrue(json.get("summaries").get(0).get("norm_without_massive").isNull());
        ChannelsCsv.write(folder.resolve("channels.csv"), sample("a \"red\",\nthing"));
        assertEquals("""
                prompt,seed,step,pass,point,stream,tokens,norm,norm_without_top,massive_channels,norm_without_massive,kind,rank,index,text,share,times_median,massive
                1,9223372036854775807,0,cond,transformer_blocks.4.txt,prompt,3,10.0,4.0,1,NaN,channel,1,7,,0.84,10000.0,true
                1,9223372036854775807,0,cond,transformer_blocks.4.txt,prompt,3,10.0,4.0,1,NaN,token,1,2,"a ""red"",
                thing",0.5,1.5,
                """, Files.readString(folder.resolve("channels.csv")));
    }
}
