package dev.kleinscope.pipeline.intervene;

import dev.kleinscope.pipeline.dump.DumpNames;
import dev.kleinscope.probe.ActivationSource;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.Safetensors;

/**
 * Activations in a safetensors file, under {@link DumpNames}.
 *
 * @param file read when an activation is asked for; the caller closes it
 * @param name as records have it
 */
public record DumpFile(Safetensors file, String name) implements ActivationSource {

    @Override
    public Tensor activation(int step, Pass pass, String point) {
        String tensor = DumpNames.of(step, pass, point);
        if (!file.contains(tensor)) {
            throw new InterventionException(file.path() + " holds no " + tensor + "; it has " + (file.names().isEmpty() ? "nothing"
                    : String.join(", ", file.names().stream().sorted().limit(3).toList()) + (file.names().size() > 3 ? ", ..." : ""))
                    + ". Dump that point at that step, or restrict the intervention with steps= and pass=");
        }
        Tensor found = file.tensor(tensor);
        if (found.dtype() != DType.F32 && found.dtype() != DType.BF16) {
            throw new InterventionException(file.path() + ": " + tensor + ": expected F32 or BF16, found " + found.dtype());
        }
        return found;
    }

    @Override
    public String describe() {
        return name;
    }
}
