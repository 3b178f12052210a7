package dev.kleinscope.pipeline.dump;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.ops.HostBuffer;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.BFloat16;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.SafetensorsWriter;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ActivationDumpTest {

    private static final Denoising GUIDED = new Denoising(3, 4, false);

    @TempDir
    private Path folder;

    private CpuOps ops;
    private Klein klein;
    private HostTensor noise;
    private HostTensor cond;
    private HostTensor uncond;

    @BeforeEach
    void open() {
        ops = new CpuOps();
        klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops);
        noise = normal(1, klein.latentShape(48, 32));
        cond = normal(2, Shape.of(1, 16, klein.ditConfig().textDim()));
        uncond = normal(3, cond.shape());
    }

    @AfterEach
    void close() {
        klein.close();
        ops.close();
    }

    private static HostTensor normal(long seed, Shape shape) {
        return new HostTensor("random", shape, TorchNoise.randn(TorchNoise.Kind.TORCH_CPU, TorchNoise.Type.F32, seed, shape.dims()));
    }

    private DumpPlan plan(Collection<Point> points, DType stored, Integer... steps) {
        return DumpPlan.of(points, new TreeSet<>(List.of(steps)), GUIDED, noise, List.of(), cond.shape(), stored, ops);
    }

    private Collection<Point> everything() {
        return DumpPlan.catalog(klein.ditConfig(), null).points();
    }

    private HostTensor dump(Path file, DumpPlan plan, Klein model, Ops backend) {
        return dump(file, plan, model, backend, _ -> { });
    }

    private HostTensor dump(Path file, DumpPlan plan, Klein model, Ops backend, Consumer<String> progress) {
        try (ActivationDump dump = new ActivationDump(file, plan, Map.of("prompt", "of a test"), backend, progress)) {
            dump.input(DumpPlan.NOISE, noise);
            dump.input(DumpPlan.PROMPT, cond);
            dump.input(DumpPlan.NEGATIVE, uncond);
            HostTensor latents = model.denoise(GUIDED, noise, cond, uncond, List.of(), dump, dump);
            dump.commit();
            return latents;
        }
    }

    /** All that a plain observer sees, under the names of a dump, in the order in which it sees them. */
    private Map<String, HostTensor> seen() {
        Map<String, HostTensor> seen = new LinkedHashMap<>();
        seen.put("in.latents", noise);
        seen.put("in.prompt_embeds", cond);
        seen.put("in.negative_prompt_embeds", uncond);
        Observer observer = new Observer() {
            @Override
            public boolean wants(String point) {
                return true;
            }

            @Override
            public void saw(int step, Pass pass, String point, Tensor tensor) {
                seen.put("step." + step + (pass == Pass.UNCOND ? ".uncond." : ".") + point, tensor.toHost());
            }
        };
        klein.denoise(GUIDED, noise, cond, uncond, List.of(), observer, (step, latents) -> seen.put("step." + step + ".latents", latents));
        return seen;
    }

    private static void assertSame(HostTensor expected, Tensor found) {
        assertEquals(expected.shape(), found.shape(), found.name());
        assertArrayEquals(expected.values(), found.toHost().values(), found.name());
    }

    @Test
    void everyBitIsAPlainObserversInTheOrderOfComputation() {
        Path file = folder.resolve("all.safetensors");
        dump(file, plan(everything(), null, 0, 1, 2), klein, ops);
        Map<String, HostTensor> seen = seen();
        try (Safetensors found = Safetensors.open(file)) {
            assertEquals(List.copyOf(seen.keySet()), List.copyOf(found.names()));
            assertTrue(found.contains("step.1.uncond.single_transformer_blocks.19.attn.to_qkv_mlp_proj"));
            seen.forEach((name, values) -> assertSame(values, found.tensor(name)));
        }
    }

    @Test
    void onlyChosenStepsAreKeptAndTheRunEndsAfterThem() {
        Path file = folder.resolve("step.safetensors");
        Collection<Point> points = DumpPlan.catalog(klein.ditConfig(), null).select(List.of("double_blocks.4", "latents"));
        HostTensor latents = dump(file, plan(points, null, 1), klein, ops);
        Map<String, HostTensor> seen = seen();
        try (Safetensors found = Safetensors.open(file)) {
            assertEquals(List.of("in.latents", "in.prompt_embeds", "in.negative_prompt_embeds", "step.1.transformer_blocks.4.txt",
                    "step.1.transformer_blocks.4.img", "step.1.uncond.transformer_blocks.4.txt", "step.1.uncond.transformer_blocks.4.img",
                    "step.1.latents"), List.copyOf(found.names()));
            for (String name : found.names()) {
                assertSame(seen.get(name), found.tensor(name));
            }
        }
        // [channels, tokens] of the last step that ran, of three
        float[] packed = seen.get("step.1.latents").values();
        assertEquals(packed[1], latents.values()[latents.values().length / (int) latents.shape().dim(1)]);
    }

    @Test
    void theTextEncodersStatesStandBeforeTheEmbeddingsMadeOfThem() {
        Path file = folder.resolve("text.safetensors");
        List<String> prompts = List.of(Reference.SAFE, "");
        Collection<Point> points = DumpPlan.catalog(klein.ditConfig(), klein.textConfig()).select(List.of("text_encoder.hidden_states.*", "proj_out"));
        try (ActivationDump dump = new ActivationDump(file, plan(points, null, 0), Map.of(), ops, _ -> { })) {
            dump.input(DumpPlan.NOISE, noise);
            cond = klein.encode(klein.tokenizer().prompt(prompts.getFirst(), 16), dump.text(Pass.COND));
            dump.input(DumpPlan.PROMPT, cond);
            uncond = klein.encode(klein.tokenizer().prompt(prompts.getLast(), 16), dump.text(Pass.UNCOND));
            dump.input(DumpPlan.NEGATIVE, uncond);
            klein.denoise(GUIDED, noise, cond, uncond, List.of(), dump, dump);
            dump.commit();
        }
        try (Safetensors found = Safetensors.open(file)) {
            List<String> names = List.copyOf(found.names());
            assertEquals(1 + 2 * (28 + 1) + 2, names.size());
            assertEquals("text_encoder.hidden_states.0", names.get(1));
            assertEquals("in.prompt_embeds", names.get(29));
            assertEquals("uncond.text_encoder.hidden_states.27", names.get(57));
            for (int i = 0; i < 2; i++) {
                String prefix = i == 0 ? "" : "uncond.";
                float[] embeds = found.tensor(i == 0 ? "in.prompt_embeds" : "in.negative_prompt_embeds").toHost().values();
                float[] last = found.tensor(prefix + "text_encoder.hidden_states.27").toHost().values();
                int hidden = last.length / 16;
                for (int token = 0; token < 16; token++) {
                    for (int c = 0; c < hidden; c++) {
                        assertEquals(embeds[(3 * token + 2) * hidden + c], last[token * hidden + c]);
                    }
                }
            }
        }
    }

    @Test
    void aDumpChangesNoBitOfTheRun() {
        HostTensor plain = klein.denoise(GUIDED, noise, cond, uncond, List.of(), null, null);
        HostTensor dumped = dump(folder.resolve("all.safetensors"), plan(everything(), null, 0, 2), klein, ops);
        assertArrayEquals(plain.values(), dumped.values());
    }

    @Test
    void activationsCanBeStoredInBf16AndInputsStayExact() {
        Path file = folder.resolve("bf16.safetensors");
        dump(file, plan(everything(), DType.BF16, 0), klein, ops);
        Map<String, HostTensor> seen = seen();
        try (Safetensors found = Safetensors.open(file)) {
            for (String name : found.names()) {
                boolean input = name.startsWith("in.");
                assertEquals(input ? DType.F32 : DType.BF16, found.dtype(name), name);
                float[] expected = seen.get(name).values().clone();
                for (int i = 0; i < expected.length && !input; i++) {
                    expected[i] = BFloat16.round(expected[i]);
                }
                assertArrayEquals(expected, found.tensor(name).toHost().values(), name);
            }
        }
    }

    @Test
    void twoBuffersOfABlockAreAllTheMemory() {
        List<Long> buffers = new ArrayList<>();
        Ops counting = (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (_, method, args) -> {
            try {
                Object result = method.invoke(ops, args);
                if (result instanceof HostBuffer buffer) {
                    buffers.add(buffer.segment().byteSize());
                }
                return result;
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
        DumpPlan plan = plan(everything(), null, 0, 1, 2);
        long single = plan.tensors().stream().filter(tensor -> tensor.name().startsWith("step.0.single_transformer_blocks.3"))
                .mapToLong(Declaration::bytes).sum();
        long whole = plan.tensors().stream().filter(tensor -> tensor.name().startsWith("step.0.transformer_blocks.3."))
                .mapToLong(Declaration::bytes).sum();
        try (Klein counted = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), counting)) {
            dump(folder.resolve("all.safetensors"), plan, counted, counting);
        }
        assertEquals(2, buffers.size());
        assertEquals(2 * Math.max(single, whole), buffers.stream().mapToLong(bytes -> bytes).sum());
        assertTrue(plan.bytes() > 50 * buffers.getFirst(), "the dump must be larger than what is held: " + plan.bytes());
    }

    @Test
    void buffersOfAFullSizeBlockStayWithinAnEighthOfAGibibyte() {
        HostTensor large = new HostTensor("noise", Shape.of(1, klein.ditConfig().inChannels(), 256, 256),
                new float[(int) klein.ditConfig().inChannels() << 16]);
        DumpPlan plan = DumpPlan.of(everything(), new TreeSet<>(List.of(0)), GUIDED, large, List.of(), cond.shape(), null, ops);
        assertEquals(64L << 20, plan.bufferBytes());
    }

    @Test
    void anInterruptedRunLeavesNothing() throws IOException {
        Path file = folder.resolve("cut.safetensors");
        DumpPlan plan = plan(everything(), null, 0, 1, 2);
        assertThrows(RunInterruptedException.class, () -> dump(file, plan, klein, ops, name -> {
            if (name.equals("step.1.transformer_blocks.2.txt")) {
                Thread.currentThread().interrupt();
            }
        }));
        assertTrue(Thread.interrupted());
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(List.of(), left.toList());
        }
    }

    @Test
    void aFailureOfTheDiskReachesTheComputationAndNobodyWaits() throws IOException {
        Path file = folder.resolve("failing.safetensors");
        SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(new Declaration("x", DType.F32, Shape.of(4096))), Map.of());
        try (Spool spool = new Spool(ops, writer, 1024)) {
            // as after a write that failed
            writer.close();
            assertThrows(IllegalStateException.class, () -> {
                spool.put("x", new float[4096], DType.F32);
                spool.finish();
            });
        }
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(List.of(), left.toList());
        }
    }

    @Test
    void tooLittleSpaceIsToldBeforeTheRun() {
        DumpPlan endless = new DumpPlan(List.of(new Declaration("x", DType.F32, Shape.of(1L << 55))), java.util.Set.of(), new TreeSet<>(List.of(0)));
        ModelException refused = assertThrows(ModelException.class,
                () -> new ActivationDump(folder.resolve("endless.safetensors"), endless, Map.of(), ops, _ -> { }));
        assertTrue(refused.getMessage().contains("are missing"), refused.getMessage());
        assertFalse(Files.exists(folder.resolve("endless.safetensors")));
    }

    @Test
    void aRunThatEndsEarlyIsNoDump() {
        Path file = folder.resolve("half.safetensors");
        try (ActivationDump dump = new ActivationDump(file, plan(everything(), null, 0), Map.of(), ops, _ -> { })) {
            dump.input(DumpPlan.NOISE, noise);
            assertThrows(IllegalStateException.class, dump::commit);
        }
        assertFalse(Files.exists(file));
    }
}
