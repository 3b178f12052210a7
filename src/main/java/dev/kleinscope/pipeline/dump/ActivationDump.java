package dev.kleinscope.pipeline.dump;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.SafetensorsWriter;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * Writes a run's activations to one safetensors file while they are computed, through two buffers of at most a block each. The file
 * appears, whole, at {@link #commit}. To be used by the thread that computes.
 */
public final class ActivationDump implements Observer, Denoising.StepListener, AutoCloseable {

    private final DumpPlan plan;
    private final SafetensorsWriter writer;
    private final Spool spool;
    private final Consumer<String> progress;
    private int next;

    /**
     * What a dump cost.
     *
     * @param writingSeconds of the thread that writes
     * @param waitedSeconds for which the computation stood still because both buffers were full
     * @param syncSeconds until the disk had everything, after the run
     */
    public record Cost(double writingSeconds, double waitedSeconds, double syncSeconds) {
    }

    /**
     * Begins a dump.
     *
     * @param metadata goes to the file's header
     * @param progress hears of each tensor
     * @throws dev.kleinscope.weights.ModelException if the folder cannot be written to or has too little space
     */
    public ActivationDump(Path file, DumpPlan plan, Map<String, String> metadata, Ops ops, Consumer<String> progress) {
        this.plan = plan;
        this.progress = progress;
        writer = SafetensorsWriter.create(file, plan.tensors(), metadata);
        try {
            spool = new Spool(ops, writer, plan.bufferBytes());
        } catch (RuntimeException | Error e) {
            writer.close();
            throw e;
        }
    }

    /** What the run starts from, in the order of the plan. */
    public void input(String name, HostTensor values) {
        Declaration declared = take(name);
        require(name, declared, declared.shape().equals(values.shape()), values);
        spool.put(name, values.values(), declared.dtype());
    }

    /** What the text encoder reports itself to. */
    public Probes text(Pass pass) {
        Set<String> watched = plan.points().stream().filter(point -> point.startsWith(DumpPlan.TEXT))
                .map(point -> point.substring(DumpPlan.TEXT.length())).collect(Collectors.toSet());
        return Probes.to(watched, (point, tensor) -> keep(DumpNames.of(pass, DumpPlan.TEXT + point), tensor));
    }

    @Override
    public boolean wants(String point) {
        return plan.points().contains(point);
    }

    @Override
    public void saw(int step, Pass pass, String point, Tensor tensor) {
        if (plan.steps().contains(step)) {
            keep(DumpNames.of(step, pass, point), tensor);
        }
    }

    private void keep(String name, Tensor tensor) {
        Declaration declared = take(name);
        require(name, declared, declared.shape().equals(tensor.shape()), tensor.shape());
        spool.put(tensor.named(name), declared.dtype());
    }

    @Override
    public void step(int step, HostTensor latents) {
        String name = DumpNames.of(step, Pass.COND, DumpPlan.LATENTS);
        if (plan.steps().contains(step) && next < plan.tensors().size() && plan.tensors().get(next).name().equals(name)) {
            input(name, latents);
        }
    }

    /** After the last step that is kept, the run may end. */
    @Override
    public boolean enough(int step) {
        return step >= plan.steps().last();
    }

    private Declaration take(String name) {
        Declaration declared = next < plan.tensors().size() ? plan.tensors().get(next) : null;
        require(name, declared, declared != null && declared.name().equals(name), "it");
        next++;
        progress.accept(name);
        return declared;
    }

    private static void require(String name, Declaration declared, boolean holds, Object found) {
        if (!holds) {
            throw new IllegalStateException("dump of " + name + ": planned " + declared + ", found " + found);
        }
    }

    /**
     * Waits for the disk and gives the file its name.
     *
     * @throws dev.kleinscope.weights.ModelException if the disk is full or fails
     */
    public Cost commit() {
        spool.finish();
        long before = System.nanoTime();
        writer.commit();
        return new Cost(spool.writingSeconds(), spool.waitedSeconds(), (System.nanoTime() - before) / 1e9);
    }

    /** Leaves no file unless it was committed. */
    @Override
    public void close() {
        try {
            spool.close();
        } finally {
            writer.close();
        }
    }
}
