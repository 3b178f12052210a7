package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.ClipScorer;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Latents;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.Safetensors;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

class InterpolationProtocolTest {

    private static final String SECOND = "A red circle on a blue background.";

    private Ops ops;
    private Klein klein;
    private ClipScorer clip;

    @BeforeEach
    void open() {
        ops = Reference.Backend.CPU.open();
        klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops);
        clip = ClipScorer.open(ModelFiles.resolve("weights/clip-tiny"), ops);
    }

    @AfterEach
    void close() {
        clip.close();
        klein.close();
        ops.close();
    }

    /** Keeps pictures in memory, and may know finished samples. */
    private static final class Memory implements InterpolationProtocol.Store {

        private final Map<Double, HostTensor> planes = new HashMap<>();
        private final Map<Double, Interpolation.Sample> finished = new HashMap<>();
        private final List<Interpolation.Sample> kept = new ArrayList<>();

        @Override
        public Interpolation.Sample finished(long seed, double alpha) {
            return finished.get(alpha);
        }

        @Override
        public Image8 picture(Interpolation.Sample sample) {
            return null;
        }

        @Override
        public String keep(long seed, double alpha, Image8 picture, HostTensor image) {
            planes.put(alpha, image);
            return null;
        }

        @Override
        public void keep(Interpolation.Sample sample) {
            kept.add(sample);
        }
    }

    @Test
    void theBlendedPipelinesOfThePeerComeOutOfTheSweepItself() {
        try (Safetensors quarter = Safetensors.open(Reference.caseFile("pipeline-lerp-0.25"))) {
            Memory memory = new Memory();
            sweep(Reference.SAFE, SECOND, new Denoising(4, 1, true), List.of(0.25, 0.5, 0.9), false)
                    .run(noise(quarter.tensor("in.latents").toHost()), memory, Map.of(), done -> { });
            for (double alpha : List.of(0.25, 0.5, 0.9)) {
                try (Safetensors expected = Safetensors.open(Reference.caseFile("pipeline-lerp-" + alpha))) {
                    HostTensor found = Latents.pack(memory.planes.get(alpha));
                    Difference difference = Difference.of(found.values(), expected.tensor("out.image").toHost().values());
                    assertTrue(difference.relativeL2() < 1e-4, alpha + ": " + difference);
                }
            }
        }
    }

    @Test
    void everyRowOfTheOriginalScriptIsReproduced() {
        JsonNode expected = Reference.json("seed-compat-interpolation.json");
        try (Safetensors inputs = Safetensors.open(Reference.caseFile("seed-compat"))) {
            List<Double> alphas = new ArrayList<>();
            expected.path("rows").forEach(row -> alphas.add(row.path("alpha").asDouble()));
            Interpolation found = sweep(Reference.SAFE, Reference.EXTREME, new Denoising(20, 3.5, true), alphas, true)
                    .run(noise(inputs.tensor("latents.safe").toHost()), new Memory(), Map.of(), done -> { });
            assertEquals(10, found.samples().size());
            for (int i = 0; i < 10; i++) {
                JsonNode row = expected.path("rows").path(i);
                Interpolation.Sample sample = found.samples().get(i);
                double structural = row.path("structural").asDouble();
                double logit = row.path("clip_logit").asDouble();
                assertEquals(structural, sample.structural(), 0.005 * structural, "structural at " + sample.alpha());
                assertEquals(logit, sample.clipLogit(), 0.005 * logit, "logit at " + sample.alpha());
            }
            assertEquals(Boolean.FALSE, found.cliff(), found.finding());
            assertTrue(found.finding().contains("no cliff"), found.finding());
        }
    }

    @Test
    void anInterruptedSweepGoesOnToTheSameEnd() {
        try (Safetensors inputs = Safetensors.open(Reference.caseFile("seed-compat"))) {
            HostTensor latents = inputs.tensor("latents.safe").toHost();
            InterpolationProtocol sweep = sweep(Reference.SAFE, SECOND, new Denoising(1, 1, true), List.of(0.0, 0.5, 1.0), false);
            Interpolation whole = sweep.run(noise(latents), new Memory(), Map.of(), done -> { });
            Memory interrupted = new Memory();
            interrupted.finished.put(0.0, whole.samples().getFirst());
            interrupted.finished.put(0.5, whole.samples().get(1));
            List<String> progress = new ArrayList<>();
            Interpolation resumed = sweep.run(noise(latents), interrupted, Map.of(), progress::add);
            assertEquals(whole.samples(), resumed.samples());
            assertEquals(1, interrupted.kept.size(), "samples drawn again");
            assertEquals(sweep.progressSteps(1), progress.size(), "progress");
        }
    }

    @Test
    void theFirstImageHasNoStepAndTheOthersHave() {
        try (Safetensors inputs = Safetensors.open(Reference.caseFile("seed-compat"))) {
            Interpolation found = sweep(Reference.SAFE, SECOND, new Denoising(1, 1, true), List.of(0.0, 1.0), false)
                    .run(noise(inputs.tensor("latents.safe").toHost()), new Memory(), Map.of(), done -> { });
            assertNull(found.samples().getFirst().step());
            assertTrue(found.samples().getLast().step() > 0);
            assertNull(found.cliff());
            assertFalse(found.limits().isEmpty());
        }
    }

    private InterpolationProtocol sweep(String from, String to, Denoising denoising, List<Double> alphas, boolean original) {
        return new InterpolationProtocol(klein, from, to, denoising, 64, alphas, clip, original);
    }

    private static TreeMap<Long, HostTensor> noise(HostTensor latents) {
        return new TreeMap<>(Map.of(0L, latents));
    }
}
