package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelFiles;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ChannelsProtocolTest {

    private static final int TOKENS = 32;
    private static final ChannelsProtocol.Store NOWHERE = new ChannelsProtocol.Store() {
        @Override
        public List<ChannelCell> finished(int prompt, long seed) {
            return null;
        }

        @Override
        public void keep(int prompt, long seed, List<ChannelCell> cells) {
            // nothing is interrupted here
        }
    };

    private static SortedMap<Long, HostTensor> noises(Klein klein, long... seeds) {
        SortedMap<Long, HostTensor> noises = new TreeMap<>();
        Shape shape = klein.latentShape(48, 32);
        for (long seed : seeds) {
            noises.put(seed, new HostTensor("latents", shape,
                    TorchNoise.randn(TorchNoise.Kind.TORCH_CPU, TorchNoise.Type.F32, seed, shape.dims())));
        }
        return noises;
    }

    private static Channels run(Klein klein, List<String> prompts, boolean distilled, int top, String... globs) {
        return new ChannelsProtocol(klein, prompts, new Denoising(2, 3, distilled), TOKENS, top, Massive.PAPER)
                .run(noises(klein, 1, 2), klein.points().select(List.of(globs)), NOWHERE, Map.of(), _ -> { });
    }

    /** Sums over whole activations on the host, for comparison. */
    private static Map<String, HostTensor> captured(Klein klein, String prompt, Set<String> points) {
        Map<String, HostTensor> seen = new HashMap<>();
        klein.denoise(new Denoising(2, 1, true), noises(klein, 1).get(1L), klein.encode(klein.tokenizer().prompt(prompt, TOKENS)), null, List.of(),
                new Observer() {
                    @Override
                    public boolean wants(String point) {
                        return points.contains(point);
                    }

                    @Override
                    public void saw(int step, Pass pass, String point, Tensor tensor) {
                        seen.put(step + point, tensor.toHost());
                    }
                }, null);
        return seen;
    }

    private static double energy(HostTensor x, int[] rows, List<Integer> channels) {
        double sum = 0;
        for (int row : rows) {
            float[] values = x.row(row);
            for (int channel : channels) {
                sum += (double) values[channel] * values[channel];
            }
        }
        return sum;
    }

    @Test
    void cellsAreWhatWholeActivationsSumTo() {
        try (Ops ops = new CpuOps(2); Klein klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops)) {
            List<String> points = List.of("transformer_blocks.4.img", "transformer_blocks.4.txt", "single_transformer_blocks.3");
            Channels channels = run(klein, List.of(Reference.SAFE), true, 3, points.toArray(String[]::new));
            Map<String, HostTensor> whole = captured(klein, Reference.SAFE, Set.copyOf(points));
            Prompt prompt = klein.tokenizer().prompt(Reference.SAFE, TOKENS);
            TokenGroups groups = prompt.groups();
            List<ChannelCell> cells = channels.cells().stream().filter(cell -> cell.seed() == 1).toList();
            // image; prompt, template and padding; all four: at two steps
            assertEquals(2 * (1 + 3 + 4), cells.size());
            for (ChannelCell cell : cells) {
                HostTensor x = whole.get(cell.step() + cell.point());
                int first = cell.point().startsWith("single") ? groups.tokens() : 0;
                int[] rows = switch (cell.stream()) {
                    case "image" -> IntStream.range(first, first + 6).toArray();
                    case "prompt" -> IntStream.range(groups.promptFrom(), groups.promptTo()).toArray();
                    case "template" -> IntStream.concat(IntStream.range(0, groups.promptFrom()),
                            IntStream.range(groups.promptTo(), groups.valid())).toArray();
                    default -> IntStream.range(groups.valid(), TOKENS).toArray();
                };
                String where = cell.toString();
                List<Integer> all = IntStream.range(0, cell.width()).boxed().toList();
                double energy = energy(x, rows, all);
                assertEquals(Math.sqrt(energy), cell.norm(), 1e-6 * cell.norm(), where);
                List<Integer> strongest = all.stream().sorted(Comparator.comparingDouble((Integer c) -> energy(x, rows, List.of(c))).reversed())
                        .toList();
                assertEquals(strongest.subList(0, 3), cell.channels().stream().map(ChannelCell.Part::index).toList(), where);
                assertEquals(energy(x, rows, strongest.subList(0, 3)) / energy, cell.share(), 1e-6, where);
                assertEquals(Math.sqrt(energy(x, rows, strongest.subList(3, strongest.size()))), cell.normWithoutTop(), 1e-6 * cell.norm(), where);
                double median = Math.sqrt((energy(x, rows, List.of(strongest.get(31))) + energy(x, rows, List.of(strongest.get(32)))) / 2);
                assertEquals(Math.sqrt(energy(x, rows, List.of(strongest.getFirst()))) / median, cell.channels().getFirst().timesMedian(),
                        1e-5 * cell.channels().getFirst().timesMedian(), where);
                int leading = IntStream.of(rows).boxed().max(Comparator.comparingDouble(row -> energy(x, new int[] {row}, all))).orElseThrow();
                ChannelCell.Part token = cell.strongestTokens().getFirst();
                assertEquals(cell.stream().equals("image") ? leading - first : leading, token.index(), where);
                assertEquals(energy(x, new int[] {leading}, all) / energy, token.share(), 1e-6, where);
                assertEquals(cell.stream().equals("image") ? "row " + token.index() / 3 + ", column " + token.index() % 3
                        : klein.tokenizer().token(prompt.ids()[token.index()]), token.text(), where);
            }
        }
    }

    @Test
    void aPlantedChannelIsMassiveAndTheNormWithoutItIsTheRests() {
        try (Ops ops = new ReferenceOps(); Klein klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops)) {
            int width = 9;
            float[] values = new float[4 * width];
            for (int i = 0; i < values.length; i++) {
                values[i] = i % width == 5 ? 300 + i / width : (i % 2 == 0 ? 0.1f : -0.1f);
            }
            Point point = klein.points().select(List.of("transformer_blocks.0.img")).iterator().next();
            List<ChannelCell> cells = new ArrayList<>();
            TokenGroups groups = new TokenGroups(1, 2, 3, 16);
            ChannelsObserver.Rows rows = new ChannelsObserver.Rows(groups, List.of(), 2);
            for (Massive massive : List.of(Massive.PAPER, new Massive(400, 1000), new Massive(100, 5000))) {
                try (Frame _ = ops.frame(); ChannelsObserver observer = new ChannelsObserver(klein.readings(), 1, 7, Map.of(Pass.COND, rows),
                        Set.of(point), 2, massive, cells::add)) {
                    observer.saw(0, Pass.COND, point.name(), ops.input(HostTensor.of("planted", values, 1, 4, width)));
                    observer.done(0, Pass.COND);
                }
            }
            ChannelCell cell = cells.getFirst();
            double rest = Math.sqrt(4 * (width - 1) * 0.01);
            assertEquals(1, cell.massive());
            assertEquals(rest, cell.normWithoutMassive(), 1e-6 * rest);
            assertEquals(5, cell.channels().getFirst().index());
            assertTrue(cell.channels().getFirst().massive());
            assertFalse(cell.channels().getLast().massive());
            assertEquals(Math.sqrt((300 * 300 + 301 * 301 + 302 * 302 + 303 * 303) / 4.0) / 0.1, cell.channels().getFirst().timesMedian(), 0.1);
            assertEquals(3, cell.strongestTokens().getFirst().index());
            assertEquals("row 1, column 1", cell.strongestTokens().getFirst().text());
            assertEquals(0, cells.get(1).massive());
            assertEquals(0, cells.get(2).massive());
            assertEquals(cell.norm(), cells.get(1).normWithoutMassive(), 1e-9 * cell.norm());
        }
    }

    @Test
    void summariesCountForwardsAndTellWordsAtTheSamePlaceApart() {
        try (Ops ops = new CpuOps(2); Klein klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops)) {
            Channels channels = run(klein, List.of("red paint", "blue sky"), false, 4, "transformer_blocks.0.txt", "time_guidance_embed");
            // prompts, seeds, steps and passes
            ChannelsSummary prompt = channels.summaries().stream().filter(each -> each.stream().equals("prompt")).findFirst().orElseThrow();
            assertEquals(2 * 2 * 2, prompt.forwards(), "the pass without a prompt has no prompt tokens");
            ChannelsSummary template = channels.summaries().stream().filter(each -> each.stream().equals("template")).findFirst().orElseThrow();
            assertEquals(2 * 2 * 2 * 2, template.forwards());
            Set<String> words = prompt.tokens().stream().map(ChannelsSummary.Recurring::text).map(String::strip).collect(Collectors.toSet());
            assertTrue(prompt.tokens().stream().allMatch(token -> token.forwards() <= 4), "each prompt has four forwards: " + prompt.tokens());
            assertTrue(words.size() > 1, words.toString());
            assertEquals(prompt.forwards() * 4, prompt.channels().stream().mapToInt(ChannelsSummary.Recurring::forwards).sum());
            assertTrue(IntStream.range(1, prompt.channels().size())
                    .allMatch(i -> prompt.channels().get(i).forwards() <= prompt.channels().get(i - 1).forwards()), prompt.channels().toString());
            ChannelsSummary single = channels.summaries().stream().filter(each -> each.point().equals("time_guidance_embed")).findFirst().orElseThrow();
            assertEquals("all", single.stream());
            assertEquals(List.of("transformer_blocks.0.txt"), channels.blocks());
            assertTrue(channels.finding().contains("evenly spread"), channels.finding());
        }
    }

    @Test
    void oneRunSaysThatItIsOne() {
        try (Ops ops = new CpuOps(2); Klein klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops)) {
            ChannelsProtocol protocol = new ChannelsProtocol(klein, List.of("red"), new Denoising(1, 1, true), TOKENS, 4, Massive.PAPER);
            List<String> steps = new ArrayList<>();
            Channels channels = protocol.run(noises(klein, 1), klein.points().select(List.of("transformer_blocks.0.img")), NOWHERE, Map.of(), steps::add);
            assertTrue(channels.limits().getFirst().contains("One prompt from one noise"), channels.limits().toString());
            assertEquals(protocol.progressSteps(1), steps.size(), steps.toString());
        }
    }
}
