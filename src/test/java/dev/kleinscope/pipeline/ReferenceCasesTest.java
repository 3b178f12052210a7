package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.validate.DitCase;
import dev.kleinscope.pipeline.validate.PipelineCase;
import dev.kleinscope.pipeline.validate.ReferenceCase;
import dev.kleinscope.pipeline.validate.TensorCheck;
import dev.kleinscope.pipeline.validate.TextEncoderCase;
import dev.kleinscope.weights.ModelFiles;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The models against what the peers computed, on every backend. */
class ReferenceCasesTest {

    private static final double DIT_TOLERANCE = 5e-5;
    private static final double TEXT_TOLERANCE = 1e-6;

    @ParameterizedTest
    @CsvSource({
        "dit-tiny-klein, tiny-klein, 70", "dit-tiny-klein-batch2, tiny-klein, 41", "dit-tiny-klein-refimage, tiny-klein, 41",
        "dit-tiny-klein, tiny-klein-bfl.safetensors, 70", "dit-tiny-klein-batch2, tiny-klein-bfl.safetensors, 41",
        "dit-tiny-klein-refimage, tiny-klein-bfl.safetensors, 41", "dit-head128, dit-head128, 36",
        "dit-guidance, dit-guidance, 48", "dit-uneven, dit-uneven, 22", "dit-single, dit-single, 16"})
    void everyTransformerActivationAgreesWithThePeer(String name, String model, int tensors) {
        for (Reference.Backend backend : Reference.Backend.values()) {
            try (Ops ops = backend.open(); Klein klein = klein(model, ops);
                    ReferenceCase reference = ReferenceCase.open(Reference.caseFile(name))) {
                List<TensorCheck> checks = DitCase.run(reference, klein.dit(), ops);
                assertEquals(tensors, checks.size(), "tensors compared");
                assertWithin(checks, DIT_TOLERANCE, backend);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"text-encoder, tiny-klein", "text-30, text-30", "text-27, text-27"})
    void everyHiddenStateAgreesWithThePeer(String name, String model) {
        for (Reference.Backend backend : Reference.Backend.values()) {
            try (Ops ops = backend.open(); Klein klein = klein(model, ops);
                    ReferenceCase reference = ReferenceCase.open(Reference.caseFile(name))) {
                PromptTokenizer tokenizer = model.equals("tiny-klein") ? klein.tokenizer() : null;
                List<TensorCheck> checks = TextEncoderCase.run(reference, klein.textEncoder(), tokenizer, ops);
                assertEquals(tokenizer == null ? 18 : 21, checks.size(), "tensors compared");
                assertWithin(checks, TEXT_TOLERANCE, backend);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "pipeline-distilled, 6", "pipeline-second, 6", "pipeline-cfg, 8", "pipeline-refimage, 6", "pipeline-tworefs, 5",
        "pipeline-lerp-0.25, 6", "pipeline-lerp-0.5, 6", "pipeline-lerp-0.9, 6"})
    void everyStepAndTheImageAgreeWithThePeer(String name, int tensors) {
        try (Ops ops = Reference.Backend.CPU.open(); Klein klein = klein("tiny-klein", ops);
                ReferenceCase reference = ReferenceCase.open(Reference.caseFile(name))) {
            List<TensorCheck> checks = PipelineCase.run(reference, klein);
            assertEquals(tensors, checks.size(), checks.toString());
            assertWithin(checks, 1e-4, Reference.Backend.CPU);
        }
    }

    @ParameterizedTest
    @CsvSource({"dit-tiny-klein, dit-head128", "dit-head128, tiny-klein"})
    void aCaseOfAnotherModelIsRefusedNotCompared(String name, String model) {
        try (Ops ops = Reference.Backend.REFERENCE.open(); Klein klein = klein(model, ops);
                ReferenceCase reference = ReferenceCase.open(Reference.caseFile(name))) {
            var refusal = org.junit.jupiter.api.Assertions.assertThrows(dev.kleinscope.weights.ModelException.class,
                    () -> DitCase.run(reference, klein.dit(), ops));
            assertTrue(refusal.getMessage().contains("does not fit the model"), refusal.getMessage());
        }
    }

    private static Klein klein(String model, Ops ops) {
        Path path = model.equals("tiny-klein") ? Reference.TINY_KLEIN : Reference.FOLDER.resolve(model);
        return new Klein(ModelFiles.resolve(path.toString()), ops);
    }

    private static void assertWithin(List<TensorCheck> checks, double tolerance, Reference.Backend backend) {
        assertFalse(checks.isEmpty());
        for (TensorCheck check : checks) {
            assertTrue(check.within(tolerance), () -> backend + ": " + check);
        }
    }
}
