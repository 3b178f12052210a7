package dev.kleinscope.pipeline.validate;

import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Planes;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Runs a case of kind {@code vae}: a picture encoded and latents decoded. The case's tensors are planes. */
public final class VaeCase {

    private static final String POINTS = "act.";

    private VaeCase() {
    }

    /** @return a check for each captured activation in the order of computation, and for both outputs */
    public static List<TensorCheck> run(ReferenceCase reference, Vae vae, Ops ops) {
        HostTensor image = Planes.toChannelsLast(reference.values("in.image", 4));
        HostTensor latents = Planes.toChannelsLast(reference.values("in.latents", 4));
        CaseObserver observer = new CaseObserver(reference, POINTS, Planes::fromChannelsLast);
        Probes probes = Probes.of(observer, 0, Pass.COND);
        List<TensorCheck> outputs = new ArrayList<>();
        try (Frame _ = ops.frame()) {
            outputs.add(output(reference, "out.latent_mean", vae.encode(ops, ops.input(image), probes)));
            outputs.add(output(reference, "out.image", vae.decode(ops, ops.input(latents), probes)));
        } catch (IllegalArgumentException e) {
            throw new ModelException(reference.path() + " does not fit the model: " + e.getMessage(), e);
        }
        List<TensorCheck> checks = observer.finish(Set.of());
        checks.addAll(outputs);
        return checks;
    }

    private static TensorCheck output(ReferenceCase reference, String name, Tensor found) {
        return TensorCheck.of(name, Planes.fromChannelsLast(found.toHost()), reference.values(name));
    }
}
