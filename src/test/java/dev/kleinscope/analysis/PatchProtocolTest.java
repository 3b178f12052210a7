package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.kleinscope.Reference;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.TokenStream;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ModelFiles;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class PatchProtocolTest {

    private static final PatchProtocol.Store NOTHING_KEPT = new PatchProtocol.Store() {
        @Override
        public Patching.Cell finished(String point, String stream, Integer step, long seed, String source) {
            return null;
        }

        @Override
        public void keep(Patching.Cell cell) {
        }
    };

    @Test
    void howMuchIsKeptAtATimeChangesNothing() {
        try (Ops ops = Reference.Backend.CPU.open(); Klein klein = new Klein(ModelFiles.resolve(Reference.TINY_KLEIN.toString()), ops)) {
            Set<Point> points = klein.points().select(List.of("transformer_blocks.1", "transformer_blocks.2.attn.norm_q", "time_guidance_embed"));
            HostTensor noise = new HostTensor("noise", klein.latentShape(48, 32),
                    new TorchNoise(TorchNoise.Kind.TORCH_CPU, 1, 132).next(TorchNoise.Type.F32, klein.latentShape(48, 32).dims()));
            List<List<Patching.Cell>> found = new ArrayList<>();
            for (long budget : new long[] {1, PatchProtocol.DEFAULT_BUDGET_BYTES}) {
                List<String> steps = new ArrayList<>();
                PatchProtocol protocol = new PatchProtocol(klein, Reference.SAFE, null, Reference.EXTREME, null, new Denoising(2, 4, false), 48,
                        points, List.of(TokenStream.IMAGE, TokenStream.PROMPT, TokenStream.PADDING), false, List.of(PatchMetric.DISTANCE), null,
                        budget);
                found.add(protocol.run(new TreeMap<>(Map.of(1L, noise)), NOTHING_KEPT, Map.of(), steps::add).cells());
                assertEquals(protocol.progressSteps(1), steps.size());
            }
            assertEquals(List.of("time_guidance_embed all", "transformer_blocks.1.txt prompt", "transformer_blocks.1.txt padding",
                    "transformer_blocks.1.img image", "transformer_blocks.2.attn.norm_q image"),
                    found.getFirst().stream().map(cell -> cell.point() + " " + cell.stream()).toList());
            assertEquals(found.getFirst(), found.getLast());
            // both runs embed the same time
            assertEquals(0, found.getFirst().getFirst().values().get(PatchMetric.MOVED));
        }
    }
}
