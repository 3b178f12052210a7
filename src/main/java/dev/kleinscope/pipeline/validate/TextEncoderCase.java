package dev.kleinscope.pipeline.validate;

import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.PromptTokenizer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelException;
import java.util.ArrayList;
import java.util.List;

/** Runs a case of kind {@code text-encoder}: some prompts, each through the whole encoder. */
public final class TextEncoderCase {

    private TextEncoderCase() {
    }

    /**
     * @param tokenizer checked against the case's prompts as well; null to leave that out
     * @return for each prompt: its ids, each captured hidden state, the prompt embeddings
     */
    public static List<TensorCheck> run(ReferenceCase reference, TextEncoder encoder, PromptTokenizer tokenizer, Ops ops) {
        List<TensorCheck> checks = new ArrayList<>();
        int prompts = 0;
        while (reference.has(prompts + ".input_ids")) {
            checks.addAll(prompt(reference, prompts++, encoder, tokenizer, ops));
        }
        if (prompts == 0) {
            throw new ModelException(reference.path() + " is no complete \"text-encoder\" case: it has no tensor 0.input_ids");
        }
        return checks;
    }

    private static List<TensorCheck> prompt(ReferenceCase reference, int index, TextEncoder encoder, PromptTokenizer tokenizer,
            Ops ops) {
        String prefix = index + ".";
        int[] ids = reference.integers(prefix + "input_ids", 1);
        long valid = valid(reference, prefix + "attention_mask", ids.length);
        List<TensorCheck> checks = new ArrayList<>();
        String prompt = reference.metadata("prompt." + index);
        if (tokenizer != null && prompt != null) {
            checks.add(TensorCheck.of(prefix + "input_ids", floats(tokenizer.prompt(prompt, ids.length).ids()), floats(ids)));
        }
        CaseObserver observer = new CaseObserver(reference, prefix);
        try (Frame _ = ops.frame()) {
            encoder.forward(ops, new int[][] {ids}, new long[] {valid}, Probes.of(observer, 0, Pass.COND));
        } catch (IllegalArgumentException e) {
            throw new ModelException(reference.path() + " does not fit the model: " + e.getMessage(), e);
        }
        checks.addAll(observer.finish(java.util.Set.of(prefix + "input_ids", prefix + "attention_mask")));
        return checks;
    }

    /** Right padding only: a mask of ones, then zeros. */
    private static long valid(ReferenceCase reference, String name, int tokens) {
        int[] mask = reference.integers(name, 1);
        int valid = 0;
        while (valid < mask.length && mask[valid] == 1) {
            valid++;
        }
        for (int i = valid; i < mask.length; i++) {
            if (mask[i] != 0) {
                throw new ModelException(reference.path() + ": " + name + " is not padded on the right alone; FLUX.2-klein pads there");
            }
        }
        if (mask.length != tokens || valid == 0) {
            throw new ModelException(reference.path() + ": " + name + ": expected " + tokens + " entries and at least one 1, found "
                    + mask.length + " entries and " + valid + " ones");
        }
        return valid;
    }

    private static HostTensor floats(int[] ids) {
        float[] values = new float[ids.length];
        for (int i = 0; i < ids.length; i++) {
            values[i] = ids[i];
        }
        return HostTensor.of("input_ids", values, ids.length);
    }
}
