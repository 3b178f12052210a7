package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.pipeline.dump.ActivationFile;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.SafetensorsWriter;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ForkJoinPool;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ActivationDiffTest {

    @TempDir
    private Path folder;

    /** A file of tensors by name, in the order of their names. */
    private Path file(String name, Map<String, String> metadata, HostTensor... tensors) {
        Path path = folder.resolve(name);
        List<Declaration> declared = new ArrayList<>();
        for (HostTensor tensor : tensors) {
            declared.add(new Declaration(tensor.name(), DType.F32, tensor.shape()));
        }
        try (SafetensorsWriter writer = SafetensorsWriter.create(path, declared, metadata)) {
            for (HostTensor tensor : tensors) {
                writer.write(tensor.name(), tensor.values());
            }
            writer.commit();
        }
        return path;
    }

    private static HostTensor tensor(String name, float... values) {
        return HostTensor.of(name, values, 1, values.length);
    }

    private static ActivationDiff diff(Path a, Path b, double rtol) {
        try (ActivationFile first = ActivationFile.open(a); ActivationFile second = ActivationFile.open(b)) {
            return ActivationDiff.of(first, second, List.of("a", "b"), rtol, _ -> { });
        }
    }

    @Test
    void theFirstDivergenceIsTheFirstComputedHoweverFilesAreOrdered() {
        String[] computed = {"in.latents", "step.0.x_embedder", "step.0.transformer_blocks.2.img", "step.0.transformer_blocks.10.norm1",
            "step.0.transformer_blocks.10.norm1_context", "step.0.transformer_blocks.10.attn.txt", "step.0.transformer_blocks.10.txt",
            "step.0.transformer_blocks.10.attn.img", "step.0.transformer_blocks.10.img", "step.0.single_transformer_blocks.2",
            "step.0.single_transformer_blocks.10.norm", "step.0.proj_out", "step.0.uncond.x_embedder", "step.0.latents", "step.1.x_embedder",
            "step.10.x_embedder"};
        List<String> shuffled = new ArrayList<>(List.of(computed));
        java.util.Collections.shuffle(shuffled, new Random(3));
        Path a = file("a", Map.of(), shuffled.stream().map(name -> tensor(name, 1, 2)).toArray(HostTensor[]::new));
        for (int from = 0; from < computed.length; from++) {
            List<String> changed = List.of(computed).subList(from, computed.length);
            Path b = file("b" + from, Map.of(), shuffled.stream().map(name -> tensor(name, 1, changed.contains(name) ? 3 : 2))
                    .toArray(HostTensor[]::new));
            ActivationDiff diff = diff(a, b, 1e-3);
            assertEquals(computed[from], diff.first().name());
            assertEquals(computed.length - from, diff.beyond());
            assertEquals(List.of(computed), diff.rows().stream().map(ActivationDiff.Row::name).toList());
        }
    }

    @Test
    void numbersAreThoseOfWholeArraysAcrossPieces() {
        Random random = new Random(5);
        float[] a = new float[3 * 70_001];
        float[] b = new float[a.length];
        for (int i = 0; i < a.length; i++) {
            a[i] = (float) random.nextGaussian();
            b[i] = a[i] + 1e-3f * (float) random.nextGaussian();
        }
        b[140_010] += 5;
        HostTensor first = HostTensor.of("step.0.proj_out", a, 1, 3, 70_001);
        HostTensor second = HostTensor.of("step.0.proj_out", b, 3, 70_001);
        ActivationDiff.Numbers found = diff(file("a", Map.of(), first), file("b", Map.of(), second), 1e-4).rows().getFirst().numbers();
        Difference expected = Difference.of(b, a);
        assertEquals(expected.relativeL2(), found.relativeL2(), 1e-12);
        assertEquals(expected.maxAbs(), found.maxAbs());
        assertEquals(List.of(0L, 2L, 8L), found.worstIndex());
        assertEquals(a[140_010], found.worstA());
        assertEquals(b[140_010], found.worstB());
        assertEquals(first.norm(), found.normA(), 1e-9);
        assertEquals(second.norm(), found.normB(), 1e-9);
        double product = 0;
        for (int i = 0; i < a.length; i++) {
            product += (double) a[i] * b[i];
        }
        assertEquals(product / first.norm() / second.norm(), found.cosine(), 1e-12);
    }

    @Test
    void numbersDoNotDependOnHowManyCoresThereAre() {
        Random random = new Random(6);
        float[] a = new float[(5 << 20) / 2];
        float[] b = new float[a.length];
        for (int i = 0; i < a.length; i++) {
            a[i] = (float) random.nextGaussian();
            b[i] = a[i] + 1e-3f * (float) random.nextGaussian();
        }
        // as far apart in two blocks, each summed by one thread: the first counts
        a[100] = a[a.length - 1] = 0;
        b[100] = b[a.length - 1] = -7;
        Path first = file("a", Map.of(), tensor("step.0.proj_out", a));
        Path second = file("b", Map.of(), tensor("step.0.proj_out", b));
        ActivationDiff.Numbers alone = on(1, () -> diff(first, second, 1e-4)).rows().getFirst().numbers();
        assertEquals(List.of(0L, 100L), alone.worstIndex());
        assertEquals(Difference.of(b, a).relativeL2(), alone.relativeL2(), 1e-12);
        for (int cores = 2; cores < 5; cores++) {
            assertEquals(alone, on(cores, () -> diff(first, second, 1e-4)).rows().getFirst().numbers());
        }
    }

    private static <T> T on(int threads, Callable<T> work) {
        try (ForkJoinPool pool = new ForkJoinPool(threads)) {
            return pool.submit(work).join();
        }
    }

    @Test
    void whatIsNoNumberAgreesOnlyWithItsLike() {
        float nan = Float.NaN;
        float inf = Float.POSITIVE_INFINITY;
        Path a = file("a", Map.of(), tensor("step.0.x_embedder", 3, nan, inf, 4), tensor("step.0.proj_out", 3, nan, 4, 0));
        Path b = file("b", Map.of(), tensor("step.0.x_embedder", 3, nan, inf, 4), tensor("step.0.proj_out", 3, 1, 4, 0));
        ActivationDiff diff = diff(a, b, 1e-4);
        ActivationDiff.Row alike = diff.rows().getFirst();
        assertTrue(alike.within());
        assertEquals(0, alike.numbers().relativeL2());
        assertEquals(5, alike.numbers().normA(), 1e-12);
        assertEquals(1, alike.numbers().cosine(), 1e-12);
        assertEquals(2, alike.numbers().notFiniteB());
        ActivationDiff.Row other = diff.first();
        assertEquals("step.0.proj_out", other.name());
        assertEquals(Double.POSITIVE_INFINITY, other.numbers().relativeL2());
        assertEquals(List.of(0L, 1L), other.numbers().worstIndex());
        assertEquals(1, other.numbers().notFiniteA());
        assertEquals(0, other.numbers().notFiniteB());
    }

    @Test
    void zerosAgreeAndAnythingElseIsInfinitelyFarFromThem() {
        Path a = file("a", Map.of(), tensor("step.0.x_embedder", 0, 0), tensor("step.0.proj_out", 0, 0));
        Path b = file("b", Map.of(), tensor("step.0.x_embedder", 0, 0), tensor("step.0.proj_out", 0, 1e-6f));
        ActivationDiff diff = diff(a, b, 1e-4);
        assertTrue(diff.rows().getFirst().within());
        assertEquals(Double.NaN, diff.rows().getFirst().numbers().cosine());
        assertEquals(Double.POSITIVE_INFINITY, diff.first().numbers().relativeL2());
    }

    @Test
    void shapesTypesAndGapsAreToldNotCrashedOn() {
        Path a = file("a", Map.of("seed", "1", "size", "64x64"), tensor("step.0.x_embedder", 1, 2, 3), tensor("step.0.proj_out", 1, 2));
        Path b = file("b", Map.of("seed", "2", "size", "64x64"), tensor("step.0.x_embedder", 1, 2), tensor("step.1.proj_out", 1, 2));
        ActivationDiff diff = diff(a, b, 1e-4);
        assertEquals("shapes [1, 3] and [1, 2]", diff.first().problem());
        assertFalse(diff.first().within());
        assertNull(diff.first().numbers());
        assertEquals(List.of("step.0.proj_out"), diff.onlyA());
        assertEquals(List.of("step.1.proj_out"), diff.onlyB());
        assertEquals(Map.of("seed", List.of("1", "2")), diff.made());
        assertEquals("step.0.x_embedder", diff.worst().name());
    }

    @Test
    void aCaseOfOneForwardIsComparedWithTheStepItSaysItIs() {
        Path dump = file("dump", Map.of(), tensor("in.prompt_embeds", 1), tensor("in.negative_prompt_embeds", 2),
                tensor("step.1.proj_out", 3), tensor("step.2.proj_out", 4), tensor("step.2.uncond.x_embedder", 5),
                tensor("step.2.uncond.proj_out", 6));
        Path cond = file("cond", Map.of("step", "2"), tensor("in.encoder_hidden_states", 1), tensor("out.sample", 4));
        Path uncond = file("uncond", Map.of("step", "2", "pass", "uncond"), tensor("in.encoder_hidden_states", 2), tensor("act.x_embedder", 5),
                tensor("act.proj_out", 6), tensor("out.sample", 6));
        Map<Path, List<String>> expected = new LinkedHashMap<>();
        expected.put(cond, List.of("in.prompt_embeds", "step.2.proj_out"));
        expected.put(uncond, List.of("in.negative_prompt_embeds", "step.2.uncond.x_embedder", "step.2.uncond.proj_out"));
        expected.forEach((path, names) -> {
            ActivationDiff diff = diff(path, dump, 0);
            assertEquals(names, diff.rows().stream().map(ActivationDiff.Row::name).toList());
            assertNull(diff.first());
            assertEquals(List.of(), diff.onlyA());
        });
    }

    @Test
    void aCaseOfTheTextEncoderIsComparedByPrompt() {
        Path dump = file("dump", Map.of(), tensor("text_encoder.hidden_states.9", 1), tensor("in.prompt_embeds", 2),
                tensor("uncond.text_encoder.hidden_states.9", 3), tensor("in.negative_prompt_embeds", 4));
        Path text = file("text", Map.of("prompt.0", "a", "prompt.1", "b", "prompt.2", ""), tensor("0.hidden_states.9", 1), tensor("0.prompt_embeds", 2),
                tensor("1.hidden_states.9", 5), tensor("2.hidden_states.9", 3), tensor("2.prompt_embeds", 4));
        ActivationDiff diff = diff(text, dump, 0);
        assertEquals(List.of("text_encoder.hidden_states.9", "in.prompt_embeds", "uncond.text_encoder.hidden_states.9",
                "in.negative_prompt_embeds"), diff.rows().stream().map(ActivationDiff.Row::name).toList());
        assertNull(diff.first());
        assertEquals(List.of("1.hidden_states.9"), diff.onlyA());
    }

    @Test
    void twoNamesOfOneActivationAreRefused() {
        Path twice = file("twice", Map.of(), tensor("step.0.proj_out", 1), tensor("act.proj_out", 1));
        ModelException refused = assertThrows(ModelException.class, () -> ActivationFile.open(twice));
        assertTrue(refused.getMessage().contains("step.0.proj_out"), refused.getMessage());
    }

    @Test
    void nothingInCommonIsNoAgreement() {
        ActivationDiff diff = diff(file("a", Map.of(), tensor("step.0.proj_out", 1)), file("b", Map.of(), tensor("step.1.proj_out", 1)), 1e-4);
        assertTrue(diff.finding().contains("nothing was compared"), diff.finding());
    }
}
