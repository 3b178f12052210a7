package dev.kleinscope.model.dit;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelFiles;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DitMemoryTest {

    @ParameterizedTest
    @CsvSource({"8, 512", "32, 64"})
    void theEstimateHoldsWhatAForwardTakesAndIsNotFarAbove(int side, int txtTokens) {
        try (CpuOps ops = new CpuOps(2); Klein klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops)) {
            Dit dit = klein.dit();
            DitConfig config = dit.config();
            PositionIds txtIds = PositionIds.text(txtTokens);
            PositionIds imgIds = PositionIds.image(side, side);
            try (Frame _ = ops.frame()) {
                Tensor latents = ops.input(HostTensor.of("latents", new float[side * side * (int) config.inChannels()], 1, side * side,
                        config.inChannels()));
                Tensor embeds = ops.input(HostTensor.of("embeds", new float[txtTokens * (int) config.textDim()], 1, txtTokens,
                        config.textDim()));
                float[] guidance = config.guidanceEmbeds() ? new float[] {4} : null;
                dit.forward(ops, latents, embeds, new float[] {0.5f}, guidance, txtIds, imgIds, dit.rope(ops, txtIds, imgIds), Probes.NONE);
                long estimate = DitMemory.bytes(config, side * side + txtTokens);
                assertTrue(ops.bytesHeld() <= estimate, "held " + ops.bytesHeld() + ", estimated " + estimate);
                assertTrue(ops.bytesHeld() >= 0.6 * estimate, "held " + ops.bytesHeld() + ", estimated " + estimate);
            }
        }
    }
}
