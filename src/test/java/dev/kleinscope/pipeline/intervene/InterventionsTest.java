package dev.kleinscope.pipeline.intervene;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.pipeline.validate.DitCase;
import dev.kleinscope.pipeline.validate.ReferenceCase;
import dev.kleinscope.pipeline.validate.TensorCheck;
import dev.kleinscope.probe.Change;
import dev.kleinscope.probe.Direction;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.TokenStream;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** What is changed, and that nothing else is. */
class InterventionsTest {

    private static final int TOKENS = PromptPair.TOKENS;
    private static final int IMAGE = PromptPair.IMAGE;
    private static final Denoising GUIDED = new Denoising(2, 4, false);
    private static final Denoising PLAIN = new Denoising(2, 1, true);

    private static void on(Reference.Backend backend, Consumer<PromptPair> test) {
        try (PromptPair bench = new PromptPair(backend.open())) {
            test.accept(bench);
        }
    }

    @ParameterizedTest
    @EnumSource(Reference.Backend.class)
    void aRunPatchedWithItsOwnValuesAtEveryPointIsTheSameToTheBit(Reference.Backend backend) {
        on(backend, bench -> {
            try (Capture own = bench.klein().capture()) {
                own.take(bench.points());
                HostTensor plain = bench.run(GUIDED, Reference.SAFE, own);
                Map<String, HostTensor> seen = new LinkedHashMap<>();
                HostTensor patched = bench.run(GUIDED, Reference.SAFE, PromptPair.recorder(seen, bench.points()),
                        Intervention.at("**", new Change.Replace(own)));
                assertArrayEquals(plain.values(), patched.values());
                assertEquals(bench.points().size() * 4, seen.size());
                assertArrayEquals(plain.values(), bench.run(GUIDED, Reference.SAFE, null).values());
            }
        });
    }

    @ParameterizedTest
    @EnumSource(Reference.Backend.class)
    void everythingOfAnotherRunMakesThatRun(Reference.Backend backend) {
        on(backend, bench -> {
            try (Capture other = bench.klein().capture()) {
                other.take(bench.points());
                HostTensor theirs = bench.run(GUIDED, Reference.EXTREME, other);
                HostTensor ours = bench.run(GUIDED, Reference.SAFE, null);
                assertFalse(Difference.of(ours.values(), theirs.values()).relativeL2() < 1e-3);
                HostTensor patched = bench.run(GUIDED, Reference.SAFE, null, Intervention.at("**", new Change.Replace(other)));
                assertArrayEquals(theirs.values(), patched.values());
            }
        });
    }

    @Test
    void whatASecondRunShowsTakesThePlaceOfWhatTheFirstShowed() {
        on(Reference.Backend.CPU, bench -> {
            try (Capture capture = bench.klein().capture()) {
                capture.take(bench.points());
                bench.run(PLAIN, Reference.SAFE, capture);
                HostTensor theirs = bench.run(PLAIN, Reference.EXTREME, capture);
                HostTensor patched = bench.run(PLAIN, Reference.SAFE, null, Intervention.at("**", new Change.Replace(capture)));
                assertArrayEquals(theirs.values(), patched.values());
            }
        });
    }

    @ParameterizedTest
    @CsvSource({"interventions-blocks", "interventions-fused", "interventions-replace"})
    void whatIsChangedAgreesWithThePeerUnderTheSameChanges(String name) {
        for (Reference.Backend backend : Reference.Backend.values()) {
            on(backend, bench -> {
                try (ReferenceCase reference = ReferenceCase.open(Reference.caseFile(name))) {
                    List<TensorCheck> checks = DitCase.run(reference, bench.klein().dit(), bench.ops());
                    assertTrue(checks.size() > 10, "only " + checks.size() + " tensors compared");
                    checks.forEach(check -> assertTrue(check.within(5e-5), () -> backend + ": " + check));
                }
            });
        }
    }

    /** Points of all kinds: a view of the joint stream, a slice of wider rows, joined operations, vectors without tokens, positions. */
    @ParameterizedTest
    @CsvSource({"transformer_blocks.1.img", "transformer_blocks.0.attn.to_v", "transformer_blocks.2.norm1_context",
        "single_transformer_blocks.3.attn.norm_q", "double_stream_modulation_txt", "pos_embed.sin", "norm_out"})
    void onlyTheSelectedStepIsChanged(String point) {
        on(Reference.Backend.CPU, bench -> {
            Map<String, HostTensor> plain = new LinkedHashMap<>();
            Map<String, HostTensor> changed = new LinkedHashMap<>();
            bench.run(GUIDED, Reference.SAFE, PromptPair.recorder(plain, Set.of(point, "proj_out")));
            bench.run(GUIDED, Reference.SAFE, PromptPair.recorder(changed, Set.of(point, "proj_out")),
                    Intervention.at(point, new Change.Scale(0.5)).steps("1").pass(Pass.UNCOND));
            for (String untouched : List.of("0 COND ", "0 UNCOND ", "1 COND ")) {
                assertArrayEquals(plain.get(untouched + point).values(), changed.get(untouched + point).values(), untouched);
                assertArrayEquals(plain.get(untouched + "proj_out").values(), changed.get(untouched + "proj_out").values(), untouched);
            }
            HostTensor halved = plain.get("1 UNCOND " + point);
            for (int i = 0; i < halved.values().length; i++) {
                assertEquals(halved.values()[i] * 0.5f, changed.get("1 UNCOND " + point).values()[i], 1e-6f, "at " + i);
            }
            double moved = Difference.of(changed.get("1 UNCOND proj_out").values(), plain.get("1 UNCOND proj_out").values()).relativeL2();
            assertTrue(moved > 1e-3, "the output moved by " + moved);
        });
    }

    @Test
    void aRotationKeepsEveryNormAndChangesTheOutput() {
        on(Reference.Backend.CPU, bench -> {
            String point = "transformer_blocks.1.img";
            Map<String, HostTensor> plain = new LinkedHashMap<>();
            HostTensor unchanged = bench.run(PLAIN, Reference.SAFE, PromptPair.recorder(plain, Set.of(point)));
            float[] first = new float[64];
            float[] second = new float[64];
            for (int i = 0; i < 64; i++) {
                first[i] = i % 5 - 2;
                second[i] = i % 7 - 3;
            }
            for (Change turn : List.of(new Change.TurnPairs(60, 4),
                    new Change.Turn(new Direction("u", first), new Direction("v", second), 120))) {
                Map<String, HostTensor> turned = new LinkedHashMap<>();
                HostTensor out = bench.run(PLAIN, Reference.SAFE, PromptPair.recorder(turned, Set.of(point)), Intervention.at(point, turn).steps("0"));
                HostTensor before = plain.get("0 COND " + point);
                HostTensor after = turned.get("0 COND " + point);
                for (int row = 0; row < IMAGE; row++) {
                    double norm = norm(before.row(row));
                    assertEquals(1, norm(after.row(row)) / norm, 1e-6, turn + ", token " + row);
                    if (turn instanceof Change.TurnPairs pairs) {
                        assertEquals(Math.cos(Math.toRadians(pairs.degrees())), dot(before.row(row), after.row(row)) / norm / norm, 1e-6);
                    }
                }
                double moved = Difference.of(out.values(), unchanged.values()).relativeL2();
                assertTrue(moved > 1e-3, turn + " moved the output by " + moved);
            }
        });
    }

    @Test
    void aRemovedDirectionIsGoneAndNoiseHasTheSizeAskedFor() {
        on(Reference.Backend.CPU, bench -> {
            String point = "single_transformer_blocks.2";
            float[] direction = new float[64];
            direction[5] = 3;
            direction[9] = -4;
            Map<String, HostTensor> seen = new LinkedHashMap<>();
            bench.run(PLAIN, Reference.SAFE, PromptPair.recorder(seen, Set.of(point)),
                    Intervention.at(point, new Change.Remove(new Direction("d", direction), 1)));
            HostTensor removed = seen.get("0 COND " + point);
            for (int row = 0; row < TOKENS + IMAGE; row++) {
                assertEquals(0, dot(removed.row(row), direction) / norm(removed.row(row)), 1e-5, "token " + row);
            }
            Map<String, HostTensor> plain = new LinkedHashMap<>();
            bench.run(PLAIN, Reference.SAFE, PromptPair.recorder(plain, Set.of(point)));
            Map<String, HostTensor> noisy = new LinkedHashMap<>();
            Intervention noise = Intervention.at(point, new Change.Noise(0.1, false, 8)).stream(TokenStream.IMAGE);
            bench.run(PLAIN, Reference.SAFE, PromptPair.recorder(noisy, Set.of(point)), noise);
            double energy = 0;
            for (int row = 0; row < TOKENS + IMAGE; row++) {
                float[] difference = noisy.get("0 COND " + point).row(row);
                for (int i = 0; i < difference.length; i++) {
                    difference[i] -= plain.get("0 COND " + point).row(row)[i];
                }
                double relative = norm(difference) / norm(plain.get("0 COND " + point).row(row));
                if (row < TOKENS) {
                    assertEquals(0, relative, "text token " + row);
                }
                energy += relative * relative;
            }
            assertEquals(0.1, Math.sqrt(energy / IMAGE), 0.02);
            Map<String, HostTensor> again = new LinkedHashMap<>();
            bench.run(PLAIN, Reference.SAFE, PromptPair.recorder(again, Set.of(point)), noise);
            assertArrayEquals(noisy.get("0 COND " + point).values(), again.get("0 COND " + point).values());
        });
    }

    @Test
    void partsOfThePromptAreToldApartInEachPass() {
        on(Reference.Backend.CPU, bench -> {
            String point = "single_transformer_blocks.0";
            for (TokenStream stream : List.of(TokenStream.PROMPT, TokenStream.TEMPLATE, TokenStream.PADDING)) {
                Map<String, HostTensor> seen = new LinkedHashMap<>();
                bench.run(GUIDED, Reference.SAFE, PromptPair.recorder(seen, Set.of(point)), Intervention.at(point, new Change.Zero()).stream(stream));
                for (Pass pass : Pass.values()) {
                    TokenGroups groups = bench.groups().get(pass);
                    for (int row = 0; row < TOKENS + IMAGE; row++) {
                        boolean prompt = row >= groups.promptFrom() && row < groups.promptTo();
                        TokenStream of = row >= TOKENS ? TokenStream.IMAGE : prompt ? TokenStream.PROMPT
                                : row < groups.valid() ? TokenStream.TEMPLATE : TokenStream.PADDING;
                        assertEquals(of == stream, norm(seen.get("0 " + pass + " " + point).row(row)) == 0, pass + " " + stream + ", row " + row);
                    }
                }
            }
        });
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "transformer_blocks.9.img:zero | no probe point is called",
        "transformer_blocks.1.img:zero,steps=2 | the run has steps 0 to 1",
        "transformer_blocks.1.img:zero,tokens=0-12 | has all tokens 0 to 11",
        "transformer_blocks.1.img:zero,stream=prompt | has no prompt tokens",
        "double_stream_modulation_img:mean | has no tokens to average",
        "double_stream_modulation_img:zero,tokens=0 | has no tokens",
        "transformer_blocks.1.img:zero,channels=60-64 | has channels 0 to 63",
        "transformer_blocks.1.img:rotate=10,channels=0-2 | select an even number",
        "transformer_blocks.1.img:rotate=10,channels=0-1+4-5 | one range of channels",
        "pos_embed.cos:zero,channels=1 | hold one angle"})
    void whatCannotBeDoneIsRefusedWithTheReason(String text, String reason) {
        on(Reference.Backend.CPU, bench -> {
            InterventionGrammar grammar = new InterventionGrammar(name -> null, name -> name);
            String message = assertThrows(IllegalArgumentException.class,
                    () -> bench.run(PLAIN, Reference.SAFE, null, grammar.parse(text))).getMessage();
            assertTrue(message.contains(reason), message);
        });
    }

    @Test
    void aDirectionOrAnActivationThatDoesNotFitIsRefused() {
        on(Reference.Backend.CPU, bench -> {
            String point = "transformer_blocks.1.img";
            String message = assertThrows(InterventionException.class, () -> bench.run(PLAIN, Reference.SAFE, null,
                    Intervention.at(point, new Change.Add(new Direction("steer", new float[] {1, 2}), 1)))).getMessage();
            assertTrue(message.contains("steer has 2 values, but 64 channels"), message);
            try (Capture capture = bench.klein().capture()) {
                capture.take(Set.of(point));
                bench.run(new Denoising(1, 1, true), Reference.SAFE, capture);
                message = assertThrows(InterventionException.class, () -> bench.run(PLAIN, Reference.SAFE, null,
                        Intervention.at(point, new Change.Replace(capture)))).getMessage();
                assertTrue(message.contains(point + " at step 1, cond, was not captured"), message);
            }
        });
    }

    private static double norm(float[] row) {
        return Math.sqrt(dot(row, row));
    }

    private static double dot(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += (double) a[i] * b[i];
        }
        return sum;
    }
}
