package dev.kleinscope.pipeline.validate;

import dev.kleinscope.pipeline.intervene.InterventionGrammar;
import dev.kleinscope.pipeline.intervene.Interventions;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.Safetensors;
import java.nio.file.Path;
import java.util.Set;

/** A file of inputs and of what a peer computed on them: tensors by name, and metadata that names its kind. */
public final class ReferenceCase implements AutoCloseable {

    private final Safetensors file;

    private ReferenceCase(Safetensors file) {
        this.file = file;
    }

    /** @throws ModelException if the file cannot be read or names no kind */
    public static ReferenceCase open(Path path) {
        Safetensors file = Safetensors.open(path);
        if (file.metadata().get("kind") == null) {
            file.close();
            throw new ModelException(path + " is no reference case: its metadata has no \"kind\"");
        }
        return new ReferenceCase(file);
    }

    public String kind() {
        return file.metadata().get("kind");
    }

    /** An entry of the metadata, or null. */
    public String metadata(String key) {
        return file.metadata().get(key);
    }

    /** What the peer changed, an intervention a line; their file {@code .} is the case itself. */
    Interventions interventions() {
        String text = metadata("interventions");
        if (text == null) {
            return Interventions.NONE;
        }
        InterventionGrammar grammar = new InterventionGrammar(name -> {
            if (!name.equals(".")) {
                throw new InterventionException("a case's interventions take from the case itself, \".\", not from another file");
            }
            return file;
        }, name -> name);
        return new Interventions(text.lines().filter(line -> !line.isBlank()).map(grammar::parse).toList(), null);
    }

    public Set<String> names() {
        return file.names();
    }

    public boolean has(String name) {
        return file.contains(name);
    }

    /** @throws ModelException if the case has no such tensor or it holds no numbers */
    public HostTensor values(String name) {
        Tensor tensor = require(name);
        try {
            return tensor.toHost();
        } catch (UnsupportedOperationException | ArithmeticException e) {
            throw new ModelException(file.path() + ": " + name + ": " + e.getMessage(), e);
        }
    }

    /** Values of a tensor with a given number of dimensions. */
    public HostTensor values(String name, int rank) {
        Tensor tensor = require(name);
        if (tensor.shape().rank() != rank) {
            throw new ModelException(file.path() + ": " + name + ": expected " + rank + " dimensions, found " + tensor.shape());
        }
        return values(name);
    }

    /** Whole numbers: ids and masks. A leading batch dimension beyond {@code rank} is reduced to its first element. */
    public int[] integers(String name, int rank) {
        Tensor tensor = require(name);
        if (tensor.dtype() != DType.I32 && tensor.dtype() != DType.I64 && tensor.dtype() != DType.F32) {
            throw new ModelException(file.path() + ": " + name + ": expected I32 or I64, found " + tensor.dtype());
        }
        if (tensor.shape().rank() == rank + 1 && tensor.dim(0) > 0) {
            tensor = tensor.slice(0, 0, 1);
        } else if (tensor.shape().rank() != rank) {
            throw new ModelException(file.path() + ": " + name + ": expected " + rank + " dimensions, found " + tensor.shape());
        }
        float[] values = tensor.toHost().values();
        int[] integers = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            integers[i] = (int) values[i];
            if (integers[i] != values[i]) {
                throw new ModelException(file.path() + ": " + name + ": " + values[i] + " is not a whole number");
            }
        }
        return integers;
    }

    public Path path() {
        return file.path();
    }

    private Tensor require(String name) {
        if (!file.contains(name)) {
            throw new ModelException(file.path() + " is no complete \"" + kind() + "\" case: it has no tensor " + name);
        }
        return file.tensor(name);
    }

    @Override
    public void close() {
        file.close();
    }
}
