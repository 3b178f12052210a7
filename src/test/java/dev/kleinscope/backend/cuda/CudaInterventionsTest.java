package dev.kleinscope.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.intervene.Capture;
import dev.kleinscope.pipeline.intervene.PromptPair;
import dev.kleinscope.pipeline.validate.DitCase;
import dev.kleinscope.pipeline.validate.ReferenceCase;
import dev.kleinscope.pipeline.validate.TensorCheck;
import dev.kleinscope.probe.Change;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Needs a GPU; {@link CudaContractRun} runs it without JUnit's engine. Runs are long enough that their operations are recorded and replayed. */
class CudaInterventionsTest {

    private static final Denoising GUIDED = new Denoising(4, 4, false);

    /** Where the model and the cases lie when this runs elsewhere than in the project's folder. */
    private static final Path HOME = Path.of(System.getProperty("kleinscope.home", "."));

    @BeforeAll
    static void requireGpu() {
        CudaOpsContractTest.requireGpu();
    }

    private static PromptPair pair(Precision precision) {
        return new PromptPair(new CudaOps(precision), HOME.resolve(Reference.TINY_KLEIN));
    }

    @Test
    void aRunPatchedWithItsOwnValuesAtEveryPointIsTheSameToTheBit() {
        for (Precision precision : Precision.values()) {
            try (PromptPair pair = pair(precision); Capture own = pair.klein().capture()) {
                own.take(pair.points());
                HostTensor plain = pair.run(GUIDED, Reference.SAFE, null);
                assertArrayEquals(plain.values(), pair.run(GUIDED, Reference.SAFE, own).values(), precision + ", captured");
                for (String points : List.of("**", "transformer_blocks.*", "single_transformer_blocks.*", "**.norm1", "**.norm_q")) {
                    Intervention patch = Intervention.at(points, new Change.Replace(own));
                    for (int time = 0; time < 2; time++) {
                        assertArrayEquals(plain.values(), pair.run(GUIDED, Reference.SAFE, null, patch).values(), precision + ", " + points);
                    }
                }
            }
        }
    }

    @Test
    void everythingOfAnotherRunMakesThatRun() {
        for (Precision precision : Precision.values()) {
            try (PromptPair pair = pair(precision); Capture other = pair.klein().capture()) {
                other.take(pair.points());
                HostTensor theirs = pair.run(GUIDED, Reference.EXTREME, other);
                assertFalse(Difference.of(pair.run(GUIDED, Reference.SAFE, null).values(), theirs.values()).relativeL2() < 1e-3);
                for (String points : List.of("**", "single_transformer_blocks.19")) {
                    assertArrayEquals(theirs.values(), pair.run(GUIDED, Reference.SAFE, null,
                            Intervention.at(points, new Change.Replace(other))).values(), precision + ", " + points);
                }
            }
        }
    }

    @Test
    void aChangedRunIsTheSameRecordedReplayedAndWatched() {
        for (Precision precision : Precision.values()) {
            try (PromptPair pair = pair(precision)) {
                Intervention[] changes = {Intervention.at("transformer_blocks.*", new Change.Scale(0.9)),
                    Intervention.at("transformer_blocks.2.norm1 single_transformer_blocks.4.attn.norm_k", new Change.Scale(0.5)).steps("1-2"),
                    Intervention.at("single_transformer_blocks.7", new Change.TurnPairs(20, 1)).channels("0-31")};
                HostTensor first = pair.run(GUIDED, Reference.SAFE, null, changes);
                double moved = Difference.of(first.values(), pair.run(GUIDED, Reference.SAFE, null).values()).relativeL2();
                assertTrue(moved > 1e-2, "the latents moved by " + moved);
                Map<String, HostTensor> seen = new LinkedHashMap<>();
                for (int time = 0; time < 3; time++) {
                    assertArrayEquals(first.values(), pair.run(GUIDED, Reference.SAFE, null, changes).values(), precision + ", time " + time);
                    seen.clear();
                    assertArrayEquals(first.values(), pair.run(GUIDED, Reference.SAFE,
                            PromptPair.recorder(seen, Set.of("transformer_blocks.3.img", "norm_out")), changes).values(), precision + ", watched");
                }
                assertEquals(16, seen.size());
            }
        }
    }

    @Test
    void whatIsChangedAgreesWithThePeerUnderTheSameChanges() {
        for (Precision precision : Precision.values()) {
            try (PromptPair pair = pair(precision)) {
                for (String name : List.of("interventions-blocks", "interventions-fused", "interventions-replace")) {
                    try (ReferenceCase reference = ReferenceCase.open(HOME.resolve(Reference.caseFile(name)))) {
                        List<TensorCheck> checks = DitCase.run(reference, pair.klein().dit(), pair.ops());
                        TensorCheck worst = checks.stream().max(Comparator.comparingDouble(check -> check.difference().relativeL2())).orElseThrow();
                        System.out.println(precision + " " + name + ": worst of " + checks.size() + " is " + worst);
                        checks.forEach(check -> assertTrue(check.within(precision == Precision.F32 ? 2e-3 : 2.5e-2), () -> precision + ": " + check));
                    }
                }
            }
        }
    }
}
