package dev.kleinscope.pipeline.intervene;

import static org.junit.jupiter.api.Assertions.assertNull;

import dev.kleinscope.Reference;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelFiles;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** The miniature on a backend, with two prompts that start from one noise. */
public final class PromptPair implements AutoCloseable {

    static final int TOKENS = 40;
    static final int IMAGE = 12;

    private final Ops ops;
    private final Klein klein;
    private final HostTensor noise;
    private final Map<String, HostTensor> embeds = new LinkedHashMap<>();
    private final Map<Pass, TokenGroups> groups = new EnumMap<>(Pass.class);

    /** @param ops closed with this */
    public PromptPair(Ops ops) {
        this(ops, Reference.TINY_KLEIN);
    }

    public PromptPair(Ops ops, Path model) {
        this.ops = ops;
        klein = new Klein(ModelFiles.resolve(model.toString()), ops);
        noise = new HostTensor("noise", klein.latentShape(64, 48),
                new TorchNoise(TorchNoise.Kind.TORCH_CPU, 3, 132).next(TorchNoise.Type.F32, klein.latentShape(64, 48).dims()));
        for (String prompt : List.of("", Reference.EXTREME, Reference.SAFE)) {
            Prompt encoded = klein.tokenizer().prompt(prompt, TOKENS);
            embeds.put(prompt, klein.encode(encoded));
            groups.put(prompt.isEmpty() ? Pass.UNCOND : Pass.COND, encoded.groups());
        }
    }

    public HostTensor run(Denoising denoising, String prompt, Observer observer, Intervention... changes) {
        return klein.denoise(denoising, noise, embeds.get(prompt), denoising.guided() ? embeds.get("") : null, List.of(),
                new Interventions(List.of(changes), groups), observer, null);
    }

    public Klein klein() {
        return klein;
    }

    public Ops ops() {
        return ops;
    }

    Map<Pass, TokenGroups> groups() {
        return groups;
    }

    public Set<String> points() {
        return klein.points().points().stream().map(Point::name).collect(Collectors.toSet());
    }

    /** Keeps what it sees by step, pass and point. */
    public static Observer recorder(Map<String, HostTensor> seen, Set<String> points) {
        return new Observer() {
            @Override
            public boolean wants(String point) {
                return points.contains(point);
            }

            @Override
            public void saw(int step, Pass pass, String point, Tensor tensor) {
                assertNull(seen.put(step + " " + pass + " " + point, tensor.toHost()), point + " fired twice");
            }
        };
    }

    @Override
    public void close() {
        klein.close();
        ops.close();
    }
}
