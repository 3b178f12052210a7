package dev.kleinscope.model.text;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.WeightReader;
import dev.kleinscope.weights.WeightSource;
import java.util.ArrayList;
import java.util.List;

/**
 * Qwen3 as FLUX.2-klein's text encoder: hidden states 9, 18 and 27 side by side.
 * Source: transformers {@code Qwen3Model} and diffusers {@code Flux2KleinPipeline._get_qwen3_prompt_embeds}.
 */
public final class TextEncoder {

    /** Hidden states that make the prompt embeddings; 0 is the embedding output, k the output of layer k - 1. */
    public static final List<Integer> STATES = List.of(9, 18, 27);

    private final Qwen3Config config;
    private final Tensor embedTokens;
    private final Tensor finalNorm;
    private final List<Qwen3Layer> layers = new ArrayList<>();

    /** @throws ModelException naming the weight that is missing, extra or misshapen */
    public TextEncoder(WeightSource source, Qwen3Config config, Ops ops) {
        this.config = config;
        int needed = STATES.getLast();
        if (config.layers() < needed) {
            throw new ModelException("text encoder: " + config.layers() + " layers; FLUX.2-klein needs hidden state "
                    + needed + ", so at least " + needed);
        }
        WeightReader weights = new WeightReader(source);
        embedTokens = ops.weight(weights.take("model.embed_tokens.weight", config.vocabulary(), config.hidden()));
        for (int i = 0; i < needed; i++) {
            layers.add(new Qwen3Layer(weights, ops, "model.layers." + i, config));
        }
        finalNorm = ops.weight(weights.take("model.norm.weight", config.hidden()));
        weights.finish(this::unused);
    }

    /** Layers after the last state, and the language-model head, are in the file but take no part. */
    private boolean unused(String name) {
        if (name.equals("lm_head.weight") || name.endsWith(".rotary_emb.inv_freq")) {
            return true;
        }
        if (!name.startsWith("model.layers.")) {
            return false;
        }
        String index = name.substring("model.layers.".length()).split("\\.", 2)[0];
        return index.matches("[0-9]{1,4}") && Integer.parseInt(index) >= layers.size() && Integer.parseInt(index) < config.layers();
    }

    public Qwen3Config config() {
        return config;
    }

    /** Channels of the prompt embeddings. */
    public long promptDim() {
        return STATES.size() * config.hidden();
    }

    /** Layers up to the last state that prompt embeddings are made of; a checkpoint must have them. */
    public static int layersNeeded() {
        return STATES.getLast();
    }

    /** Points this model reports, with their shapes for people. */
    public static PointCatalog points(Qwen3Config config) {
        List<Point> points = new ArrayList<>();
        for (int i = 0; i <= STATES.getLast(); i++) {
            points.add(new Point("hidden_states." + i, i == 0 ? Point.Role.EMBEDDER : Point.Role.BLOCK, Point.Rows.TXT,
                    "[B, txt, " + config.hidden() + "]"));
        }
        points.add(new Point("prompt_embeds", Point.Role.INNER, Point.Rows.TXT, "[B, txt, " + STATES.size() * config.hidden() + "]"));
        return new PointCatalog(points);
    }

    /**
     * @param ids [batch][tokens], padded on the right
     * @param validTokens how many leading ids of each row are no padding
     * @return prompt embeddings [batch, tokens, 3 * hidden], in the caller's frame
     * @throws IllegalArgumentException for ids outside the vocabulary or rows of unequal length
     */
    public Tensor forward(Ops ops, int[][] ids, long[] validTokens, Probes probes) {
        int tokens = ids[0].length;
        long hidden = config.hidden();
        AttentionMask mask = new AttentionMask(true, validTokens);
        try (Frame frame = ops.frame()) {
            Tensor out = ops.alloc(Shape.of(ids.length, tokens, promptDim()));
            Rope rope = rope(ops, tokens);
            Tensor x = ops.embedding(embedTokens, flatten(ids), Shape.of(ids.length, tokens, hidden));
            x = probes.at("hidden_states.0", x);
            for (int i = 1; i <= layers.size(); i++) {
                Tensor next = layers.get(i - 1).forward(ops, x, rope, mask);
                frame.release(x);
                x = next;
                Tensor state = i == config.layers() ? ops.rmsNorm(x, finalNorm, config.eps()) : x;
                state = probes.at("hidden_states." + i, state);
                int slot = STATES.indexOf(i);
                if (slot >= 0) {
                    ops.copy(state, out.slice(2, slot * hidden, (slot + 1) * hidden));
                }
            }
            return frame.escape(probes.at("prompt_embeds", out));
        }
    }

    private int[] flatten(int[][] ids) {
        int[] flat = new int[ids.length * ids[0].length];
        for (int b = 0; b < ids.length; b++) {
            if (ids[b].length != ids[0].length) {
                throw new IllegalArgumentException("token rows of " + ids[0].length + " and " + ids[b].length + " ids; pad them alike");
            }
            for (int i = 0; i < ids[b].length; i++) {
                if (ids[b][i] < 0 || ids[b][i] >= config.vocabulary()) {
                    throw new IllegalArgumentException("token id " + ids[b][i] + " is outside the vocabulary of "
                            + config.vocabulary() + "; tokenizer and text encoder do not belong together");
                }
                flat[b * ids[0].length + i] = ids[b][i];
            }
        }
        return flat;
    }

    /** Frequencies and angles in f32, as transformers computes them. */
    private Rope rope(Ops ops, int tokens) {
        int half = (int) config.headDim() / 2;
        float[] cos = new float[tokens * half];
        float[] sin = new float[tokens * half];
        for (int i = 0; i < half; i++) {
            float exponent = 2f * i / config.headDim();
            float frequency = 1f / (float) Math.pow(config.ropeTheta(), exponent);
            for (int t = 0; t < tokens; t++) {
                float angle = t * frequency;
                cos[t * half + i] = (float) Math.cos(angle);
                sin[t * half + i] = (float) Math.sin(angle);
            }
        }
        return new Rope(ops.input(HostTensor.of("rope.cos", cos, tokens, half)),
                ops.input(HostTensor.of("rope.sin", sin, tokens, half)), Rope.Pairing.HALVES);
    }
}
