package dev.kleinscope;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kleinscope.analysis.NormsProbe;
import dev.kleinscope.backend.cuda.CudaOps;
import dev.kleinscope.cli.Main;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.probe.Change;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KleinscopeTest {

    private static final String PROMPT = "A bucket of red paint spilled on a wooden floor";

    @TempDir
    Path folder;

    private static Kleinscope model() {
        return Kleinscope.open(Reference.TINY_KLEIN).backend("cpu").gemm("java");
    }

    private static Run small(Kleinscope model) {
        return model.run(PROMPT).size(48, 32).steps(2).maxTokens(32).seed(7);
    }

    @Test
    void aWatcherSeesEachOfItsPointsOnceAForward() {
        List<String> seen = new ArrayList<>();
        try (Kleinscope model = model()) {
            small(model).watch("transformer_blocks.*.img", (step, pass, point, tensor) -> {
                assertEquals(Pass.COND, pass);
                assertEquals(List.of(1L, 6L, model.klein().ditConfig().hidden()), List.of(tensor.dim(0), tensor.dim(1), tensor.dim(2)));
                assertEquals(point, tensor.name());
                seen.add(step + " " + point);
            }).latents();
            List<String> expected = new ArrayList<>();
            for (int step = 0; step < 2; step++) {
                for (int block = 0; block < model.klein().ditConfig().doubleBlocks(); block++) {
                    expected.add(step + " transformer_blocks." + block + ".img");
                }
            }
            assertEquals(expected, seen);
        }
    }

    @Test
    void normsAreThoseOfWhatAWatcherSees() {
        try (Kleinscope model = model()) {
            List<Double> own = new ArrayList<>();
            small(model).watch("single_blocks.7", (step, pass, point, tensor) -> own.add(tensor.toHost().norm())).latents();
            Map<String, List<Double>> norms = small(model).norms("single_blocks.7", "transformer_blocks.0.txt");
            assertEquals(Set.of("transformer_blocks.0.txt", "single_transformer_blocks.7"), norms.keySet());
            assertEquals(2, own.size());
            for (int step = 0; step < 2; step++) {
                assertEquals(own.get(step), norms.get("single_transformer_blocks.7").get(step), 1e-6 * own.get(step), "step " + step);
            }
        }
    }

    @Test
    void sumsAndAWatcherTogetherAreNotLeftToARecording() {
        try (Kleinscope model = model(); NormsProbe probe = NormsProbe.blockNorms(model.klein())) {
            Watching both = new Watching();
            both.add(probe);
            assertTrue(both.queues());
            both.add(Set.of("proj_out"), (step, pass, point, tensor) -> { });
            assertFalse(both.queues());
            assertTrue(both.wants("proj_out") && both.wants("transformer_blocks.0.img") && !both.wants("norm_out"));
            List<Integer> seen = new ArrayList<>();
            small(model).watch(probe).watch("proj_out", (step, pass, point, tensor) -> seen.add(step)).latents();
            assertEquals(List.of(0, 1), seen);
            assertEquals(2, probe.norms("transformer_blocks.0.img").size());
        }
    }

    @Test
    void watchingChangesNoBitOfThePicture() {
        try (Kleinscope model = model()) {
            HostTensor plain = small(model).latents();
            AtomicReference<String> last = new AtomicReference<>();
            HostTensor watched = small(model).watch("**", (step, pass, point, tensor) -> last.set(point)).latents();
            assertEquals("proj_out", last.get());
            assertArrayEquals(plain.values(), watched.values());
        }
    }

    @Test
    void aChangedRunIsTheOneThatGenerateDraws() {
        Path own = folder.resolve("own.png");
        try (Kleinscope model = model()) {
            Run run = small(model).intervene("single_blocks.3:scale=1.5,steps=1,stream=prompt").intervene(
                    Intervention.at("transformer_blocks.4.img", new Change.Zero()).tokens("0-2"));
            run.watch("transformer_blocks.4.img", (step, pass, point, tensor) -> {
                float[] first = tensor.toHost().row(0);
                assertArrayEquals(new float[first.length], first);
                assertTrue(tensor.slice(1, 3, 4).toHost().norm() > 0);
            });
            run.png(own);
            assertFalse(Arrays.equals(small(model).latents().values(), run.latents().values()));
            assertThrows(IllegalArgumentException.class, () -> small(model).intervene("transformer_block.4.img:zero"));
            assertThrows(IllegalArgumentException.class, () -> small(model).intervene("transformer_blocks.4.img:double"));
            Run late = small(model).intervene("transformer_blocks.4.img:zero,steps=7");
            assertTrue(assertThrows(IllegalArgumentException.class, late::latents).getMessage().contains("steps 0 to 1"));
        }
        Path drawn = folder.resolve("drawn.png");
        generate(drawn, "--intervene", "single_blocks.3:scale=1.5,steps=1,stream=prompt", "--intervene", "transformer_blocks.4.img:zero,tokens=0-2");
        assertArrayEquals(ImageFile.read(drawn).rgb(), ImageFile.read(own).rgb());
    }

    private static void generate(Path file, String... more) {
        StringWriter err = new StringWriter();
        String[] line = Stream.concat(Stream.of("generate", "-m", Reference.TINY_KLEIN.toString(), "--backend", "cpu", "--gemm", "java", "-p", PROMPT,
                "--size", "48x32", "--steps", "2", "--max-tokens", "32", "--seed", "7", "-o", file.toString()), Stream.of(more)).toArray(String[]::new);
        assertEquals(0, Main.run(new PrintWriter(new StringWriter()), new PrintWriter(err, true), line), err.toString());
    }

    @Test
    void aPictureIsTheOneThatGenerateDraws() {
        Path own = folder.resolve("own.png");
        try (Kleinscope model = model()) {
            small(model).png(own);
        }
        Path drawn = folder.resolve("drawn.png");
        generate(drawn);
        Image8 first = ImageFile.read(own);
        assertEquals(48, first.width());
        assertArrayEquals(ImageFile.read(drawn).rgb(), first.rgb());
        assertEquals(PROMPT, ImageFile.readPngText(own).get("prompt"));
    }

    @Test
    void guidanceRunsTwiceAStepWithANegativePromptOfItsOwn() {
        try (Kleinscope model = model()) {
            Set<String> passes = new LinkedHashSet<>();
            HostTensor empty = small(model).distilled(false).guidance(3)
                    .watch("proj_out", (step, pass, point, tensor) -> passes.add(step + pass.label())).latents();
            assertEquals(List.of("0cond", "0uncond", "1cond", "1uncond"), List.copyOf(passes));
            HostTensor blurred = small(model).distilled(false).guidance(3).negative("blurred").latents();
            assertFalse(Arrays.equals(empty.values(), blurred.values()));
            assertEquals(4, small(model).distilled(false).norms("proj_out").get("proj_out").size());
        }
    }

    @Test
    void embeddingsAndNoiseCanBeGivenInsteadOfPromptAndSeed() {
        try (Kleinscope model = model()) {
            HostTensor plain = small(model).latents();
            HostTensor embeds = model.encode(PROMPT, 32);
            assertArrayEquals(plain.values(), model.run(embeds).size(48, 32).steps(2).seed(7).latents().values());
            HostTensor other = HostTensor.of("noise", new float[(int) plain.shape().elements()], plain.shape().dims());
            assertEquals(plain.shape(), model.run(embeds).steps(1).noise(other).latents().shape());
            assertThrows(IllegalArgumentException.class, () -> model.run(plain));
            assertThrows(IllegalArgumentException.class, () -> model.run(embeds).noise(embeds));
        }
    }

    @Test
    void anUnknownPointIsRefusedWithTheNearestNames() {
        try (Kleinscope model = model()) {
            String message = assertThrows(IllegalArgumentException.class,
                    () -> small(model).watch("transformer_block.4.img", (step, pass, point, tensor) -> { })).getMessage();
            assertTrue(message.contains("transformer_block.4.img") && message.contains("transformer_blocks.4.img"), message);
            assertThrows(IllegalArgumentException.class, () -> small(model).norms("nothing.of.the.kind"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"vulkan", "", "CPU "})
    void anUnknownBackendIsRefusedWithThoseThereAre(String name) {
        try (Kleinscope model = Kleinscope.open(Reference.TINY_KLEIN)) {
            String message = assertThrows(IllegalArgumentException.class, () -> model.backend(name)).getMessage();
            assertEquals("backend \"" + name + "\": expected one of auto, cpu, cuda, reference", message);
            assertThrows(IllegalArgumentException.class, () -> model.precision("f8"));
            assertThrows(IllegalArgumentException.class, () -> model.gemm("blas"));
        }
    }

    @Test
    void aBackendThatIsNotHereIsRefusedWithTheReason() {
        String reason = CudaOps.unavailable();
        assumeTrue(reason != null, "this machine has a GPU");
        try (Kleinscope model = Kleinscope.open(Reference.TINY_KLEIN).backend("cuda")) {
            String message = assertThrows(BackendUnavailableException.class, model::describe).getMessage();
            assertTrue(message.contains(reason), message);
        }
        try (Kleinscope model = Kleinscope.open(Reference.TINY_KLEIN).backend("reference").gemm("java")) {
            String message = assertThrows(IllegalArgumentException.class, () -> model.run(PROMPT).latents()).getMessage();
            assertTrue(message.contains("needs --backend cpu, but reference was chosen"), message);
        }
    }

    @Test
    void aModelThatIsNotThereIsNamed() {
        String message = assertThrows(ModelException.class, () -> Kleinscope.open(folder.resolve("none"))).getMessage();
        assertTrue(message.contains("none"), message);
    }

    @Test
    void settingsOutOfRangeAreNamed() {
        try (Kleinscope model = model()) {
            Run run = model.run(PROMPT);
            assertEquals("width 50: expected a multiple of 16 to 4096",
                    assertThrows(IllegalArgumentException.class, () -> run.size(50, 64)).getMessage());
            assertThrows(IllegalArgumentException.class, () -> run.size(64, 0));
            assertThrows(IllegalArgumentException.class, () -> run.steps(0));
            assertThrows(IllegalArgumentException.class, () -> run.guidance(Double.NaN));
            assertThrows(IllegalArgumentException.class, () -> run.maxTokens(3));
            assertThrows(IllegalArgumentException.class, () -> model.run(" "));
            assertThrows(IllegalArgumentException.class, () -> model.encode("x", 5000));
        }
    }

    @Test
    void settingsComeBeforeTheRunAndItsResultIsDrawnOnce() {
        try (Kleinscope model = model()) {
            int[] calls = {0};
            Run run = small(model).watch("proj_out", (step, pass, point, tensor) -> calls[0]++);
            HostTensor first = run.latents();
            run.image();
            assertEquals(first, run.latents());
            assertEquals(2, calls[0]);
            assertTrue(assertThrows(IllegalStateException.class, () -> run.steps(3)).getMessage().contains("done"));
            assertThrows(IllegalStateException.class, () -> run.norms("proj_out"));
            assertThrows(IllegalStateException.class, () -> model.backend("reference"));
        }
    }

    @Test
    void aWatchersFailureEndsTheRunAndTheModelGoesOn() {
        try (Kleinscope model = model()) {
            Run broken = small(model).watch("proj_out", (step, pass, point, tensor) -> {
                throw new UnsupportedOperationException("seen enough");
            });
            assertEquals("seen enough", assertThrows(UnsupportedOperationException.class, broken::latents).getMessage());
            assertTrue(assertThrows(IllegalStateException.class, broken::latents).getMessage().contains("broken off"));
            HostTensor after = small(model).latents();
            try (Kleinscope fresh = model()) {
                assertArrayEquals(small(fresh).latents().values(), after.values());
            }
        }
    }

    @Test
    void anObserverCanNeitherRunNorCloseItsModel() {
        try (Kleinscope model = model()) {
            List<String> messages = new ArrayList<>();
            small(model).steps(1).watch("proj_out", (step, pass, point, tensor) -> {
                messages.add(assertThrows(IllegalStateException.class, () -> small(model).latents()).getMessage());
                messages.add(assertThrows(IllegalStateException.class, model::close).getMessage());
            }).latents();
            assertEquals(2, messages.size());
            assertTrue(messages.stream().allMatch(message -> message.contains("under way")), messages.toString());
        }
    }

    @Test
    void anotherThreadIsTurnedAway() throws InterruptedException {
        try (Kleinscope model = model()) {
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread other = Thread.ofPlatform().name("other").start(() -> thrown.set(assertThrows(WrongThreadException.class, () -> small(model))));
            other.join();
            assertTrue(thrown.get().getMessage().contains("and other asks"), thrown.toString());
        }
    }

    @Test
    void aClosedModelSaysSo() {
        Kleinscope model = model();
        model.describe();
        model.close();
        model.close();
        assertEquals("the model is closed", assertThrows(IllegalStateException.class, () -> model.run(PROMPT)).getMessage());
    }
}
