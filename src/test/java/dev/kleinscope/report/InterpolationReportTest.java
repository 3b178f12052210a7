package dev.kleinscope.report;

import static dev.kleinscope.report.PageParts.data;
import static dev.kleinscope.report.PageParts.elements;
import static dev.kleinscope.report.PageParts.markup;
import static dev.kleinscope.report.PageParts.raw;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.Interpolation.Drop;
import dev.kleinscope.analysis.Interpolation.Sample;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class InterpolationReportTest {

    @TempDir
    Path folder;

    @Test
    void hostilePromptsStayDataAndArriveWhole() throws Exception {
        String tame = InterpolationReport.html(SampleInterpolation.paired("a", "b", 3, 1, true), _ -> null);
        String hostile = InterpolationReport.html(
                SampleInterpolation.paired(SampleNorms.HOSTILE, "word ".repeat(10_000), 3, 1, true), _ -> null);
        assertEquals(raw(tame).size(), raw(hostile).size());
        assertEquals(elements(markup(tame), "*").size(), elements(markup(hostile), "*").size());
        assertEquals(PageParts.frame(tame), PageParts.frame(hostile));
        assertEquals(SampleNorms.HOSTILE, data(hostile).get("from").asString());
        assertEquals("word ".repeat(10_000), data(hostile).get("to").asString());
    }

    @Test
    void samplesStandByTheirSeedAndAlpha() {
        Interpolation sweep = SampleInterpolation.paired("a", "b", 3, 2, true);
        JsonNode run = data(InterpolationReport.html(sweep, SampleInterpolation.thumbnails())).get("runs").get(1);
        Sample last = sweep.samples().getLast();
        assertEquals("1", run.get("seed").asString());
        assertEquals(last.structural(), run.get("structural").get(2).asDouble(), 1e-8 * last.structural());
        assertEquals(last.clipTo(), run.get("clipTo").get(2).asDouble(), 1e-7);
        assertTrue(run.get("step").get(0).isNull());
        assertTrue(run.get("clipLogit").get(2).isNull());
        String picture = run.get("pictures").get(2).asString();
        assertArrayEquals(SampleInterpolation.thumbnails().apply(last),
                Base64.getDecoder().decode(picture.substring("data:image/png;base64,".length())));
    }

    @Test
    void theDropStandsAtTheAlphasOnEitherSideAndARiseIsNone() {
        JsonNode runs = data(InterpolationReport.html(sweep("image.png", new Drop(0, 0.5, 1, 4), new Drop(1, 0, 0.5, 0.9)),
                _ -> null)).get("runs");
        assertEquals(1, runs.get(0).get("drop").get(0).asInt());
        assertEquals(2, runs.get(0).get("drop").get(1).asInt());
        assertEquals(4, runs.get(0).get("ratio").asDouble());
        assertTrue(runs.get(1).get("drop").isNull());
    }

    @Test
    void onlyFileNamesBelowTheReportBecomeLinks() {
        assertEquals("images/s0-a1.png", link("images/s0-a1.png"));
        for (String name : List.of("https://example.org/a.png", "javascript:alert(1)", "//example.org/a.png", "../a.png", "/etc/a.png",
                "a\\b.png", "a.png?x", "images/../../a.png", "")) {
            assertEquals("", link(name), name);
        }
    }

    @Test
    void theScriptsVerdictsFollowItsThresholds() {
        assertTrue(data(InterpolationReport.html(SampleInterpolation.original("a", "b", true), _ -> null)).get("represented").asBoolean());
        assertTrue(data(InterpolationReport.html(SampleInterpolation.original("a", "b", false), _ -> null)).get("represented").isNull());
    }

    @Test
    void whatIsNoPngIsRefusedAndNothingWritten() {
        Path target = folder.resolve("sweep.html");
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class,
                () -> InterpolationReport.write(target, sweep("a.png"), _ -> "<svg/>".getBytes()));
        assertTrue(e.getMessage().contains("alpha 0.0, seed 0: expected a PNG"), e.getMessage());
        assertTrue(Files.notExists(target));
    }

    @Test
    void aSweepWithoutImagesIsRefused() {
        Interpolation empty = new Interpolation("paired", "a", "b", List.of(), List.of(), List.of(), List.of(), null, Map.of(), "",
                List.of());
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> InterpolationReport.html(empty, _ -> null));
        assertTrue(e.getMessage().contains("expected at least one image"), e.getMessage());
    }

    @Test
    void theFileHoldsThePage() throws IOException {
        Path target = folder.resolve("sweep.html");
        InterpolationReport.write(target, sweep("a.png"), _ -> null);
        assertEquals(InterpolationReport.html(sweep("a.png"), _ -> null), Files.readString(target));
    }

    private static String link(String image) {
        JsonNode link = data(InterpolationReport.html(sweep(image), _ -> null)).get("runs").get(0).get("images").get(0);
        return link.isNull() ? "" : link.asString();
    }

    private static Interpolation sweep(String image, Drop... drops) {
        List<Double> alphas = List.of(0.0, 0.5, 1.0);
        List<Sample> samples = List.of(0L, 1L).stream().flatMap(seed -> alphas.stream()
                .map(alpha -> new Sample(alpha, seed, image, 100, 1, 0.5, 6, null, null, null, null))).toList();
        return new Interpolation("paired", "a", "b", alphas, List.of(0L, 1L), samples, List.of(drops), null, Map.of(), "", List.of());
    }
}
