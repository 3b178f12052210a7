package dev.kleinscope.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.analysis.Contrast;
import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.Interpolation.Drop;
import dev.kleinscope.analysis.Interpolation.Sample;
import dev.kleinscope.analysis.Measure;
import dev.kleinscope.analysis.OriginalNorms;
import dev.kleinscope.analysis.PairedNorms;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class RunJsonTest {

    @TempDir
    Path folder;

    @Test
    void aPairedRunHasTheSchemasFieldsInOrder() {
        JsonNode run = read(RunJson.json(SampleNorms.paired()));
        assertEquals(List.of("schema", "protocol", "prompts", "parameters", "tokens", "finding", "limits", "contrasts",
                "branch_contrasts"), List.copyOf(run.propertyNames()));
        assertEquals("kleinscope.run/1", run.get("schema").asString());
        assertEquals("paired", run.get("protocol").asString());
        assertEquals("a red wound", run.get("prompts").get("extreme").asString());
        assertEquals(18, run.get("tokens").get("prompt").get(1).asInt());
        assertEquals(List.of("n", "N", "u", "kappa", "m"), List.copyOf(run.get("contrasts").propertyNames()));
        assertEquals(List.of("n", "N"), List.copyOf(run.get("branch_contrasts").propertyNames()));
    }

    @Test
    void anOriginalRunHasTheSchemasFieldsAndEachCall() {
        OriginalNorms norms = SampleNorms.original();
        JsonNode run = read(RunJson.json(norms));
        assertEquals(List.of("schema", "protocol", "parameters", "finding", "defects", "threshold", "spikes", "layers"),
                List.copyOf(run.propertyNames()));
        JsonNode last = run.get("layers").get(24);
        assertEquals("SingleStream_Layer_19", last.get("layer").asString());
        assertEquals(norms.layers().get(24).ratio(), last.get("ratio").asDouble());
        assertEquals(norms.layers().get(24).extreme().get(4), last.get("extreme").get(4).asDouble());
    }

    @Test
    void theSummaryHoldsTheLargestDifferenceOfEitherSignAndTheMedian() {
        JsonNode n = read(RunJson.json(contrasting(0.01, -0.04, Double.NaN, 0.02, 0.03))).get("contrasts").get("n").get("image");
        assertEquals(-0.04, n.get("largest").get("d").asDouble());
        assertEquals(1, n.get("largest").get("step").asInt());
        assertEquals("transformer_blocks.0.img", n.get("largest").get("point").asString());
        assertTrue(n.get("largest").get("spread").isNull());
        assertEquals(0.025, n.get("median_abs_d").asDouble(), 1e-15);
    }

    @Test
    void aMeasureThatNeverCameOutIsNull() {
        JsonNode n = read(RunJson.json(contrasting(Double.NaN))).get("contrasts").get("n").get("image");
        assertTrue(n.get("largest").isNull());
        assertTrue(n.get("median_abs_d").isNull());
    }

    @Test
    void parametersKeepTheirOrderAndNumbersThatJsonLacksAreNullOrNamed() {
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("zeta", Double.NaN);
        parameters.put("alpha", Double.POSITIVE_INFINITY);
        parameters.put("minus", Float.NEGATIVE_INFINITY);
        parameters.put("seeds", new long[] {Long.MAX_VALUE, 2});
        parameters.put("third", 0.1f);
        parameters.put("model", Path.of("models", "klein"));
        parameters.put("nothing", null);
        String json = RunJson.json(new OriginalNorms(List.of(), List.of(), parameters, "", List.of()));
        JsonNode read = read(json).get("parameters");
        assertEquals(List.copyOf(parameters.keySet()), List.copyOf(read.propertyNames()));
        assertTrue(read.get("zeta").isNull());
        assertEquals("Infinity", read.get("alpha").asString());
        assertEquals("-Infinity", read.get("minus").asString());
        assertEquals(Long.MAX_VALUE, read.get("seeds").get(0).asLong());
        assertEquals(Path.of("models", "klein").toString(), read.get("model").asString());
        assertTrue(json.contains("\"third\" : 0.1,"), json);
    }

    @Test
    void theFileHoldsTheSameDocumentWithPlainLineEnds() throws IOException {
        PairedNorms norms = SampleNorms.paired();
        Path target = folder.resolve("run.json");
        RunJson.write(target, norms);
        String written = Files.readString(target);
        assertEquals(RunJson.json(norms), written);
        assertTrue(written.endsWith("}\n"));
        assertFalse(written.contains("\r"));
    }

    @Test
    void aSweepHasEverythingInItsRecord() {
        Interpolation sweep = new Interpolation("original", "a \u202e", "b", List.of(0.0, 1.0), List.of(Long.MIN_VALUE),
                List.of(new Sample(0, Long.MIN_VALUE, null, 4685, 1, 2, 3, null, null, null, 19.5),
                        new Sample(1, Long.MIN_VALUE, "images/1.png", 1237, 4, 5, 6, 0.25, 27.0, 28.0, 20.5)),
                List.of(new Drop(Long.MIN_VALUE, 0, 1, 4685 / 1237.0)), true, Map.of("steps", 20), "found", List.of("limit"));
        JsonNode run = read(RunJson.json(sweep));
        assertEquals(List.of("schema", "protocol", "command", "prompts", "parameters", "finding", "limits", "cliff", "represented",
                "cliff_ratio", "represented_logit", "alphas", "seeds", "drops", "samples"), List.copyOf(run.propertyNames()));
        assertEquals("kleinscope.run/1", run.get("schema").asString());
        assertEquals("interpolate", run.get("command").asString());
        assertEquals("a \u202e", run.get("prompts").get("from").asString());
        assertTrue(run.get("cliff").asBoolean());
        assertTrue(run.get("represented").asBoolean());
        assertEquals(Long.MIN_VALUE, run.get("seeds").get(0).asLong());
        assertEquals(4685 / 1237.0, run.get("drops").get(0).get("ratio").asDouble());
        JsonNode first = run.get("samples").get(0);
        assertEquals(List.of("alpha", "seed", "image", "structural", "clip_from", "clip_to", "clip_logit", "noise_sigma", "blur",
                "colour_entropy", "step"), List.copyOf(first.propertyNames()));
        assertTrue(first.get("image").isNull() && first.get("step").isNull() && first.get("clip_to").isNull());
        assertEquals("images/1.png", run.get("samples").get(1).get("image").asString());
        assertEquals(0.25, run.get("samples").get(1).get("step").asDouble());
    }

    @Test
    void thePairedProtocolGivesASweepNoVerdict() {
        JsonNode run = read(RunJson.json(SampleInterpolation.paired("a", "b", 2, 1, true)));
        assertTrue(run.get("cliff").isNull());
        assertTrue(run.get("represented").isNull());
    }

    private static PairedNorms contrasting(double... d) {
        List<Contrast> contrasts = IntStream.range(0, d.length).mapToObj(step -> new Contrast(
                "transformer_blocks.0.img", "image", step, "cond", Measure.MEDIAN_NORM, d[step], Double.NaN, 1)).toList();
        return new PairedNorms("a", "b", List.of("transformer_blocks.0.img"), List.of(), List.of(), contrasts, Map.of(), Map.of(),
                "", List.of());
    }

    private static JsonNode read(String json) {
        return JsonMapper.shared().readTree(json);
    }
}
