package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.PromptWords;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelFiles;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class AttentionRunTest {

    private static final int TEXT = 48;
    private static final int IMAGE = 6 * 4;
    private static final List<String> BLOCKS = List.of("transformer_blocks.4", "single_transformer_blocks.7");

    private static AttentionRun run(Klein klein, Denoising denoising, List<String> blocks, Integer... steps) {
        Prompt prompt = klein.tokenizer().prompt("a red cube on a red table", TEXT);
        PromptWords words = new PromptWords(klein.tokenizer(), prompt);
        return new AttentionRun(klein, prompt, List.of(words.find("red"), words.find("red cube")), 2, blocks, denoising,
                new TreeSet<>(List.of(steps)));
    }

    private static HostTensor noise(Klein klein) {
        Shape shape = klein.latentShape(96, 64);
        return new HostTensor("latents", shape, TorchNoise.randn(TorchNoise.Kind.TORCH_CPU, TorchNoise.Type.F32, 1, shape.dims()));
    }

    private static Klein klein(Ops ops) {
        return new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops);
    }

    @ParameterizedTest
    @EnumSource(Reference.Backend.class)
    void everyNumberIsThatOfAPlainSoftmaxInDoublePrecision(Reference.Backend backend) {
        try (Ops ops = backend.open(); Klein klein = klein(ops)) {
            Denoising denoising = new Denoising(2, 1, true);
            AttentionRun run = run(klein, denoising, BLOCKS, 0, 1);
            Attention attention = run.run(noise(klein), Map.of(), _ -> { }).attention();
            Map<String, HostTensor> seen = capture(run);
            TokenSets sets = attention.sets();
            double[][][] maps = new double[2][4][IMAGE];
            int checked = 0;
            for (int step = 0; step < 2; step++) {
                for (String block : BLOCKS) {
                    for (int head = 0; head < 2; head++) {
                        double[][] weights = softmax(seen.get(step + block + ".attn.q"), seen.get(step + block + ".attn.k"), head, 2);
                        for (int from = 0; from < sets.sets().size(); from++) {
                            check(cell(attention, step, block, head, from), weights, sets);
                            checked++;
                        }
                        for (int word = 0; word < 2; word++) {
                            for (int i = 0; i < IMAGE; i++) {
                                for (int token : sets.sets().get(sets.words().get(word)).tokens()) {
                                    maps[word][2 * BLOCKS.indexOf(block) + head][i] += weights[TEXT + i][token] / 2;
                                }
                            }
                        }
                    }
                }
            }
            assertEquals(2 * 2 * 2 * 7, checked);
            assertEquals(checked, attention.cells().size());
            for (int word = 0; word < 2; word++) {
                for (int place = 0; place < 4; place++) {
                    float[] map = attention.maps().of(word, place / 2, place % 2);
                    for (int i = 0; i < IMAGE; i++) {
                        assertEquals(maps[word][place][i], map[i], 2e-6, "map of word " + word + " at " + place + ", token " + i);
                    }
                }
            }
        }
    }

    private static void check(Attention.Cell cell, double[][] weights, TokenSets sets) {
        List<Integer> queries = sets.sets().get(cell.from()).tokens();
        double entropy = queries.stream().mapToDouble(query -> IntStream.range(0, weights.length)
                .mapToDouble(key -> -weights[query][key] * Math.log(weights[query][key])).sum()).average().orElseThrow();
        assertEquals(entropy, cell.entropy(), 1e-5, cell.toString());
        assertTrue(cell.entropy() >= 0 && cell.entropy() <= Math.log(TEXT + IMAGE) + 1e-6, cell.toString());
        for (int to = 0; to < sets.sets().size(); to++) {
            List<Integer> keys = sets.sets().get(to).tokens();
            double share = queries.stream().mapToDouble(query -> keys.stream().mapToDouble(key -> weights[query][key]).sum()).average()
                    .orElseThrow();
            assertEquals(share, cell.shares()[to], 2e-6, cell + " to " + sets.sets().get(to).label());
        }
        assertEquals(1, cell.shares()[sets.indexOf(TokenSets.IMAGE)] + cell.shares()[sets.indexOf(TokenSets.TEXT)], 1e-5, cell.toString());
    }

    private static Attention.Cell cell(Attention attention, int step, String block, int head, int from) {
        return attention.cells().stream().filter(cell -> cell.step() == step && cell.block().equals(block) && cell.head() == head
                && cell.from() == from && cell.pass().equals("cond")).findFirst().orElseThrow();
    }

    /** Queries and keys by step and point, on a run of its own. */
    private static Map<String, HostTensor> capture(AttentionRun run) {
        Map<String, HostTensor> seen = new HashMap<>();
        run.klein().denoise(run.denoising(), noise(run.klein()), run.klein().encode(run.prompt()), null, List.of(), new Observer() {
            @Override
            public boolean wants(String point) {
                return point.endsWith(".attn.q") || point.endsWith(".attn.k");
            }

            @Override
            public void saw(int step, Pass pass, String point, Tensor tensor) {
                seen.put(step + point, tensor.toHost());
            }
        }, null);
        return seen;
    }

    private static double[][] softmax(HostTensor q, HostTensor k, int head, int heads) {
        int width = (int) q.shape().dim(2);
        int headDim = width / heads;
        int tokens = TEXT + IMAGE;
        double[][] weights = new double[tokens][tokens];
        for (int query = 0; query < tokens; query++) {
            double sum = 0;
            for (int key = 0; key < tokens; key++) {
                double score = 0;
                for (int channel = head * headDim; channel < (head + 1) * headDim; channel++) {
                    score += (double) q.values()[query * width + channel] * k.values()[key * width + channel];
                }
                weights[query][key] = Math.exp(score / Math.sqrt(headDim));
                sum += weights[query][key];
            }
            for (int key = 0; key < tokens; key++) {
                weights[query][key] /= sum;
            }
        }
        return weights;
    }

    @Test
    void thePassWithoutThePromptHasTokensOfItsOwn() {
        try (Ops ops = new CpuOps(); Klein klein = klein(ops)) {
            Attention attention = run(klein, new Denoising(2, 4, false), BLOCKS, 1).run(noise(klein), Map.of(), _ -> { }).attention();
            TokenSets without = attention.tokens().get("uncond");
            assertEquals(List.of("image", "text", "template", "padding"), without.sets().stream().map(TokenSets.Named::label).toList());
            assertEquals(List.of("image", "text", "prompt", "template", "padding", "\"red\"", "\"red cube\""),
                    attention.sets().sets().stream().map(TokenSets.Named::label).toList());
            assertEquals(2 * 2 * 4, attention.cells().stream().filter(cell -> cell.pass().equals("uncond")).count());
            assertEquals(2 * 2 * 7, attention.cells().stream().filter(cell -> cell.pass().equals("cond")).count());
            assertTrue(attention.cells().stream().allMatch(cell -> cell.step() == 1));
        }
    }

    @Test
    void lookingChangesNoBitAndNotLookingCostsNothing() {
        Map<String, Integer> calls = new TreeMap<>();
        try (Ops real = new CpuOps(); Klein klein = klein(counted(real, calls))) {
            AttentionRun run = run(klein, new Denoising(3, 1, true), BLOCKS, 1);
            HostTensor embeds = klein.encode(run.prompt());
            calls.clear();
            HostTensor plain = klein.denoise(run.denoising(), noise(klein), embeds, null, List.of(), null, null);
            Map<String, Integer> unwatched = new TreeMap<>(calls);
            assertEquals(null, unwatched.get("attentionShares"));
            assertEquals(3 * 25, unwatched.get("attention"));
            calls.clear();
            HostTensor watched = run.run(noise(klein), Map.of(), _ -> { }).latents();
            assertArrayEquals(plain.values(), watched.values(), 0);
            assertEquals(2, calls.get("attentionShares"), "two blocks at one step");
        }
    }

    /** Counts an operation's calls by name. */
    private static Ops counted(Ops ops, Map<String, Integer> calls) {
        return (Ops) Proxy.newProxyInstance(Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (_, method, arguments) -> {
            calls.merge(method.getName(), 1, Integer::sum);
            try {
                return method.invoke(ops, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    @Test
    void blocksAreSelectedByAnyPointWithinThem() {
        try (Ops ops = new CpuOps(); Klein klein = klein(ops)) {
            assertEquals(25, AttentionRun.blocks(klein.points(), null).size());
            assertEquals(25, AttentionRun.blocks(klein.points(), List.of("**")).size());
            assertEquals(BLOCKS, AttentionRun.blocks(klein.points(), List.of("single_blocks.7", "double_blocks.4")));
            assertEquals(5, AttentionRun.blocks(klein.points(), List.of("transformer_blocks.*")).size());
            assertEquals(List.of("single_transformer_blocks.1"), AttentionRun.blocks(klein.points(), List.of("single_transformer_blocks.1.attn.k")));
            assertTrue(assertThrows(IllegalArgumentException.class, () -> AttentionRun.blocks(klein.points(), List.of("single_blocks.7", "proj_out")))
                    .getMessage().contains("proj_out"));
            assertThrows(IllegalArgumentException.class, () -> AttentionRun.blocks(klein.points(), List.of("transformer_blocks.9")));
        }
    }

    @Test
    void aHeadsShareIsTheMeanOfItsMap() {
        try (Ops ops = new CpuOps(); Klein klein = klein(ops)) {
            Attention attention = run(klein, new Denoising(2, 1, true), BLOCKS, 0, 1).run(noise(klein), Map.of(), _ -> { }).attention();
            for (int word = 0; word < 2; word++) {
                List<Attention.WordHead> top = attention.top(word, 99);
                assertEquals(4, top.size());
                for (int i = 0; i < 4; i++) {
                    float[] map = attention.maps().of(word, BLOCKS.indexOf(top.get(i).block()), top.get(i).head());
                    double mean = IntStream.range(0, map.length).mapToDouble(j -> map[j]).average().orElseThrow();
                    assertEquals(mean, top.get(i).share(), 1e-6);
                    assertTrue(i == 0 || top.get(i).share() <= top.get(i - 1).share());
                    assertTrue(top.get(i).peak() >= 1);
                }
            }
            assertTrue(attention.finding().contains("to the padding"), attention.finding());
            assertTrue(attention.limits().stream().anyMatch(limit -> limit.contains("not causal evidence")));
        }
    }
}
