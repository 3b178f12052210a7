package dev.kleinscope.model.dit;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Repeated;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;
import dev.kleinscope.weights.WeightSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The FLUX.2 diffusion transformer: latents, prompt and timestep in, velocity out.
 * Source: diffusers {@code Flux2Transformer2DModel} and Black Forest Labs' {@code flux2/model.py}.
 */
public final class Dit {

    private final DitConfig config;
    private final PointCatalog points;
    private final TimestepEmbedding timestepEmbedding;
    private final TimestepEmbedding guidanceEmbedding;
    private final Linear doubleModulationImg;
    private final Linear doubleModulationTxt;
    private final Linear singleModulation;
    private final Linear imgIn;
    private final Linear txtIn;
    private final List<DoubleBlock> doubleBlocks = new ArrayList<>();
    private final List<SingleBlock> singleBlocks = new ArrayList<>();
    private final Linear normOut;
    private final Linear projOut;

    /**
     * @param source weights under diffusers' names
     * @throws dev.kleinscope.weights.ModelException naming the weight that is missing, extra or misshapen
     */
    public Dit(WeightSource source, DitConfig config, Ops ops) {
        this.config = config;
        points = new PointCatalog(DitPoints.all(config));
        WeightReader weights = new WeightReader(source);
        long hidden = config.hidden();
        timestepEmbedding = new TimestepEmbedding(weights, ops, "time_guidance_embed.timestep_embedder", config);
        guidanceEmbedding = config.guidanceEmbeds()
                ? new TimestepEmbedding(weights, ops, "time_guidance_embed.guidance_embedder", config) : null;
        doubleModulationImg = linear(weights, ops, "double_stream_modulation_img.linear", 6 * hidden, hidden);
        doubleModulationTxt = linear(weights, ops, "double_stream_modulation_txt.linear", 6 * hidden, hidden);
        singleModulation = linear(weights, ops, "single_stream_modulation.linear", 3 * hidden, hidden);
        imgIn = linear(weights, ops, "x_embedder", hidden, config.inChannels());
        txtIn = linear(weights, ops, "context_embedder", hidden, config.textDim());
        for (int i = 0; i < config.doubleBlocks(); i++) {
            doubleBlocks.add(new DoubleBlock(weights, ops, DitPoints.doubleBlock(i), config));
        }
        for (int i = 0; i < config.singleBlocks(); i++) {
            singleBlocks.add(new SingleBlock(weights, ops, DitPoints.singleBlock(i), config));
        }
        normOut = linear(weights, ops, "norm_out.linear", 2 * hidden, hidden);
        projOut = linear(weights, ops, "proj_out", config.outChannels(), hidden);
        weights.finish(name -> false);
    }

    public DitConfig config() {
        return config;
    }

    public PointCatalog points() {
        return points;
    }

    /** Rotary table of a run's tokens, text first, in the innermost frame: [txtTokens + imgTokens, headDim / 2]. */
    public Rope rope(Ops ops, PositionIds txtIds, PositionIds imgIds) {
        PositionIds ids = PositionIds.concat(List.of(txtIds, imgIds));
        return new Rope(ops.input(ids.table(config, true, 1)), ops.input(ids.table(config, false, 1)), Rope.Pairing.ADJACENT);
    }

    /**
     * One forward.
     *
     * @param latents [batch, imgTokens, inChannels]: noise tokens, then reference tokens
     * @param promptEmbeds [batch, txtTokens, textDim]
     * @param timestep for each batch element, 1 (noise) to 0 (image)
     * @param guidance for each batch element, if the model embeds it; else null
     * @param txtIds position of each text token
     * @param imgIds position of each image token
     * @param rope their rotary table
     * @return velocity [batch, imgTokens, outChannels], in the caller's frame
     */
    public Tensor forward(Ops ops, Tensor latents, Tensor promptEmbeds, float[] timestep, float[] guidance,
            PositionIds txtIds, PositionIds imgIds, Rope rope, Probes probes) {
        check(latents, promptEmbeds, timestep, guidance, txtIds, imgIds);
        Set<String> watched = probes == Probes.NONE ? Set.of()
                : points.points().stream().map(Point::name).filter(probes::wants).collect(Collectors.toSet());
        Set<String> changed = watched.stream().filter(probes::changes).collect(Collectors.toSet());
        try (Frame frame = ops.frame()) {
            PositionIds ids = PositionIds.concat(List.of(txtIds, imgIds));
            Tensor cos = angles(ops, ids, true, rope.cos(), probes);
            Tensor sin = angles(ops, ids, false, rope.sin(), probes);
            List<Tensor> inputs = new ArrayList<>(List.of(latents, promptEmbeds, cos, sin, timestepEmbedding.sinusoid(ops, timestep)));
            if (guidanceEmbedding != null) {
                inputs.add(guidanceEmbedding.sinusoid(ops, guidance));
            }
            return frame.escape(ops.repeat(List.of(this, watched, changed, probes.pass()), inputs, new Watching(probes, () -> {
                angles(ops, ids, true, rope.cos(), probes);
                angles(ops, ids, false, rope.sin(), probes);
            }),
                    (in, watcher) -> velocity(ops, in.get(0), in.get(1), new Rope(in.get(2), in.get(3), rope.pairing()), in.get(4),
                            guidanceEmbedding == null ? null : in.get(5), Probes.to(watched, changed, (point, tensor) -> {
                                if (changed.contains(point)) {
                                    ops.settle();
                                }
                                watcher.saw(point, tensor);
                            }))));
        }
    }

    /**
     * Probes as the operations know them.
     *
     * @param before shows again what was seen ahead of the operations
     */
    private record Watching(Probes probes, Runnable before) implements Repeated.Watcher {

        @Override
        public void saw(String point, Tensor tensor) {
            probes.at(point, tensor);
        }

        @Override
        public boolean queues() {
            return probes.queues();
        }

        @Override
        public void again() {
            probes.again();
            before.run();
        }
    }

    /** The rotary table itself, or a changed one: {@code pos_embed} shows each angle twice, once for each channel of its pair. */
    private Tensor angles(Ops ops, PositionIds ids, boolean cosine, Tensor table, Probes probes) {
        String point = cosine ? "pos_embed.cos" : "pos_embed.sin";
        if (!probes.wants(point)) {
            return table;
        }
        Tensor shown = probes.at(point, ops.input(ids.table(config, cosine, 2)));
        return probes.changes(point) ? ops.input(PositionIds.everyOther(shown.toHost())) : table;
    }

    /** @return velocity [batch, imgTokens, outChannels], in the caller's frame */
    private Tensor velocity(Ops ops, Tensor latents, Tensor promptEmbeds, Rope rope, Tensor timeSinusoid, Tensor guidanceSinusoid,
            Probes probes) {
        long hidden = config.hidden();
        long txtTokens = promptEmbeds.dim(1);
        try (Frame frame = ops.frame()) {
            Tensor time = timestepEmbedding.forward(ops, timeSinusoid);
            Tensor temb = probes.at("time_guidance_embed", guidanceSinusoid == null ? time
                    : ops.addScaled(time, guidanceEmbedding.forward(ops, guidanceSinusoid), 1));
            Tensor tembSilu = ops.silu(temb).named("time_guidance_embed silu");
            Tensor modImg = probes.at("double_stream_modulation_img", ops.linear(tembSilu, doubleModulationImg));
            Tensor modTxt = probes.at("double_stream_modulation_txt", ops.linear(tembSilu, doubleModulationTxt));
            Tensor modSingle = probes.at("single_stream_modulation", ops.linear(tembSilu, singleModulation));

            Shape joint = Shape.of(latents.dim(0), txtTokens + latents.dim(1), hidden);
            Streams x = Streams.of(ops.alloc(joint).named("embedded"), txtTokens);
            ops.linear(latents, imgIn, x.img());
            probes.at("x_embedder", x.img());
            ops.linear(promptEmbeds, txtIn, x.txt());
            probes.at("context_embedder", x.txt());

            for (DoubleBlock block : doubleBlocks) {
                Streams next = block.forward(ops, x, modImg, modTxt, rope, probes);
                frame.release(x.joint());
                x = next;
            }
            Modulation mod = Modulation.of(modSingle, 0, hidden);
            for (SingleBlock block : singleBlocks) {
                Streams next = block.forward(ops, x, mod, rope, probes);
                frame.release(x.joint());
                x = next;
            }

            Tensor scaleShift = ops.linear(tembSilu, normOut).named("norm_out scale, shift");
            Tensor h = probes.at("norm_out", ops.layerNormModulate(x.img(), scaleShift.slice(1, 0, hidden),
                    scaleShift.slice(1, hidden, 2 * hidden), config.eps()));
            Tensor velocity = probes.at("proj_out", ops.linear(h, projOut));
            return frame.escape(velocity);
        }
    }

    private void check(Tensor latents, Tensor promptEmbeds, float[] timestep, float[] guidance, PositionIds txtIds,
            PositionIds imgIds) {
        require(latents.shape().rank() == 3 && latents.dim(2) == config.inChannels(),
                "latents", "[batch, tokens, " + config.inChannels() + "]", latents.shape());
        require(promptEmbeds.shape().rank() == 3 && promptEmbeds.dim(2) == config.textDim()
                && promptEmbeds.dim(0) == latents.dim(0), "prompt embeddings",
                "[" + latents.dim(0) + ", tokens, " + config.textDim() + "]", promptEmbeds.shape());
        require(timestep.length == latents.dim(0), "timesteps", latents.dim(0), timestep.length);
        require(guidanceEmbedding == null || guidance != null && guidance.length == latents.dim(0), "guidance scales",
                latents.dim(0), guidance == null ? "none" : guidance.length);
        require(txtIds.tokens() == promptEmbeds.dim(1), "text position ids", promptEmbeds.dim(1), txtIds.tokens());
        require(imgIds.tokens() == latents.dim(1), "image position ids", latents.dim(1), imgIds.tokens());
    }

    private static void require(boolean holds, String what, Object expected, Object found) {
        if (!holds) {
            throw new IllegalArgumentException("transformer " + what + ": expected " + expected + ", found " + found);
        }
    }

    private static Linear linear(WeightReader weights, Ops ops, String name, long out, long in) {
        return new Linear(ops.weight(weights.take(name + ".weight", out, in)));
    }
}
