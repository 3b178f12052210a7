package dev.kleinscope.pipeline.validate;

import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.PositionIds;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelException;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/** Runs a case of kind {@code dit}: one forward of the transformer, changed as its metadata's {@code interventions} say. */
public final class DitCase {

    private DitCase() {
    }

    /** @return a check for each captured activation in the order of computation, then the output */
    public static List<TensorCheck> run(ReferenceCase reference, Dit dit, Ops ops) {
        HostTensor latents = reference.values("in.hidden_states", 3);
        HostTensor embeds = reference.values("in.encoder_hidden_states", 3);
        float[] timestep = reference.values("in.timestep").values();
        float[] guidance = reference.has("in.guidance") ? reference.values("in.guidance").values() : null;
        PositionIds txtIds = ids(reference, "in.txt_ids");
        PositionIds imgIds = ids(reference, "in.img_ids");
        Set<String> joint = dit.points().points().stream()
                .filter(point -> point.role() == Point.Role.BLOCK && point.rows() == Point.Rows.JOINT).map(Point::name)
                .collect(Collectors.toSet());
        CaseObserver observer = new CaseObserver(reference, "act.", joint, txtIds.tokens());
        try (Frame _ = ops.frame()) {
            Rope rope = dit.rope(ops, txtIds, imgIds);
            Probes probes = reference.interventions().on(ops, dit.points(), 1, imgIds.tokens(), txtIds.tokens())
                    .probes(observer, 0, Pass.COND);
            Tensor out = dit.forward(ops, ops.input(latents), ops.input(embeds), timestep, guidance, txtIds, imgIds, rope, probes);
            List<TensorCheck> checks = observer.finish(Set.of());
            checks.add(TensorCheck.of("out.sample", out.toHost(), reference.values("out.sample")));
            return checks;
        } catch (IllegalArgumentException e) {
            throw new ModelException(reference.path() + " does not fit the model: " + e.getMessage(), e);
        }
    }

    private static PositionIds ids(ReferenceCase reference, String name) {
        try {
            return new PositionIds(reference.integers(name, 2));
        } catch (IllegalArgumentException e) {
            throw new ModelException(reference.path() + ": " + name + ": " + e.getMessage(), e);
        }
    }
}
