package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.Safetensors;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

class OriginalProtocolTest {

    @ParameterizedTest
    @CsvSource({"distilled, true", "base, false"})
    void everyNormOfTheOriginalScriptIsReproduced(String run, boolean distilled) {
        JsonNode expected = Reference.json("seed-compat-norms.json").path("layers").path(run);
        try (Ops ops = Reference.Backend.CPU.open(); Klein klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops);
                Safetensors inputs = Safetensors.open(Reference.caseFile("seed-compat"))) {
            HostTensor safe = inputs.tensor("latents.safe").toHost();
            HostTensor extreme = inputs.tensor("latents.extreme").toHost();
            OriginalNorms norms = OriginalProtocol.run(new NormsRun(klein, Reference.SAFE, Reference.EXTREME,
                    new Denoising(5, 3.5, distilled), 64), safe, extreme, Map.of(), done -> { });

            assertEquals(25, norms.layers().size());
            for (OriginalNorms.Layer layer : norms.layers()) {
                JsonNode row = expected.path(layer.layer());
                assertClose(row.path("safe_avg").asDouble(), layer.safeAvg(), layer.layer());
                assertClose(row.path("extreme_avg").asDouble(), layer.extremeAvg(), layer.layer());
                assertEquals(row.path("safe").size(), layer.safe().size(), layer.layer() + ": calls");
                for (int call = 0; call < layer.safe().size(); call++) {
                    assertClose(row.path("safe").path(call).asDouble(), layer.safe().get(call), layer.layer() + " safe call " + call);
                    assertClose(row.path("extreme").path(call).asDouble(), layer.extreme().get(call), layer.layer() + " extreme call " + call);
                }
            }
            assertTrue(norms.spikes().isEmpty(), norms.finding());
            assertEquals(6, norms.defects().size());
        }
    }

    private static void assertClose(double expected, double found, String what) {
        assertEquals(expected, found, 1e-4 * Math.abs(expected), what);
    }
}
