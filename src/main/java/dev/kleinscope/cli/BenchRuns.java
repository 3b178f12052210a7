package dev.kleinscope.cli;

import dev.kleinscope.analysis.NormsProbe;
import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.DitFlops;
import dev.kleinscope.model.dit.PositionIds;
import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.ops.TimedOps;
import dev.kleinscope.pipeline.Denoising;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Latents;
import dev.kleinscope.pipeline.Pictures;
import dev.kleinscope.pipeline.Prompt;
import dev.kleinscope.pipeline.TorchNoise;
import dev.kleinscope.pipeline.VaeDecoding;
import dev.kleinscope.pipeline.intervene.Capture;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * What {@code bench} times. Inputs are where the backend computes before the clock starts, and the clock stops when the result can be
 * read there: its last row is, which waits for the rest.
 *
 * @param maxTokens text tokens
 * @param calls of attention that one run queues
 */
record BenchRuns(Klein klein, Ops ops, int maxTokens, int calls, Stopwatch watch) {

    private static final String PROMPT = "A bucket of red paint spilled on a wooden floor";
    private static final int IMAGE_STEPS = 4;

    /** What {@link #forwards} times. */
    static final Set<BenchCommand.What> FORWARDS = EnumSet.of(BenchCommand.What.FORWARD, BenchCommand.What.PROBES,
            BenchCommand.What.NORMS, BenchCommand.What.CAPTURE);

    /** Looks at nothing, and so must cost nothing. */
    private static final Observer INDIFFERENT = new Observer() {
        @Override
        public boolean wants(String point) {
            return false;
        }

        @Override
        public void saw(int step, Pass pass, String point, Tensor tensor) {
            throw new IllegalStateException("nobody asked for " + point);
        }
    };

    /** Times operations. */
    @FunctionalInterface
    interface Stopwatch {

        /**
         * @param size of the picture; null where there is none
         * @param gigaflop in one run; null where they are not counted
         * @param calls in one run
         * @param runs by operation; several take turns, so that a GPU's drift meets them alike
         */
        void time(PictureSize size, Double gigaflop, int calls, Map<BenchCommand.What, Runnable> runs);
    }

    void encode() {
        Prompt prompt = klein.tokenizer().prompt(PROMPT, maxTokens);
        TextEncoder encoder = klein.textEncoder();
        watch.time(null, null, 1, Map.of(BenchCommand.What.ENCODE, () -> {
            try (Frame _ = ops.frame()) {
                await(encoder.forward(ops, new int[][] {prompt.ids()}, new long[] {prompt.groups().valid()}, Probes.NONE));
            }
        }));
    }

    /** Plain, with probes that want nothing, with norms, and with captures, as far as they are asked for. */
    void forwards(PictureSize size, Set<BenchCommand.What> what) {
        Dit dit = klein.dit();
        Shape shape = klein.latentShape(size.width(), size.height());
        PositionIds txtIds = PositionIds.text(maxTokens);
        PositionIds imgIds = PositionIds.image((int) shape.dim(2), (int) shape.dim(3));
        double gigaflop = (DitFlops.linears(dit.config(), imgIds.tokens(), maxTokens)
                + DitFlops.attention(dit.config(), imgIds.tokens(), maxTokens)) / 1e9;
        float[] guidance = dit.config().guidanceEmbeds() ? new float[] {4} : null;
        try (Frame _ = ops.frame()) {
            Tensor noise = ops.input(Latents.pack(normal(1, shape)));
            Tensor embeds = ops.input(normal(2, Shape.of(1, maxTokens, dit.config().textDim())));
            Rope rope = dit.rope(ops, txtIds, imgIds);
            Set<String> blocks = klein.points().points().stream().filter(point -> point.role() == Point.Role.BLOCK).map(Point::name)
                    .collect(Collectors.toSet());
            try (NormsProbe norms = NormsProbe.blockNorms(klein); Capture capture = klein.capture()) {
                capture.take(blocks);
                Map<BenchCommand.What, Observer> observers = new EnumMap<>(BenchCommand.What.class);
                observers.put(BenchCommand.What.FORWARD, null);
                observers.put(BenchCommand.What.PROBES, INDIFFERENT);
                observers.put(BenchCommand.What.NORMS, norms);
                observers.put(BenchCommand.What.CAPTURE, capture);
                Map<BenchCommand.What, Runnable> runs = new EnumMap<>(BenchCommand.What.class);
                observers.forEach((timed, observer) -> {
                    if (what.contains(timed)) {
                        runs.put(timed, () -> {
                            try (Frame _ = ops.frame()) {
                                Tensor velocity = dit.forward(ops, noise, embeds, new float[] {0.5f}, guidance, txtIds, imgIds, rope,
                                        observer == null ? Probes.NONE : Probes.of(observer, 0, Pass.COND));
                                if (observer != null) {
                                    observer.done(0, Pass.COND);
                                }
                                await(velocity);
                            }
                        });
                    }
                });
                // a capture lets the GPU rest, and what follows it would gain
                Runnable captured = runs.remove(BenchCommand.What.CAPTURE);
                if (!runs.isEmpty()) {
                    watch.time(size, gigaflop, 1, runs);
                }
                if (captured != null) {
                    watch.time(size, gigaflop, 1, Map.of(BenchCommand.What.CAPTURE, captured));
                }
            }
        }
    }

    /** Adds up what another observer takes, on a backend that computes before it returns. */
    private static final class TimedObserver implements Observer {

        private final Observer observer;
        private long nanos;

        TimedObserver(Observer observer) {
            this.observer = observer;
        }

        @Override
        public boolean wants(String point) {
            return observer.wants(point);
        }

        @Override
        public void saw(int step, Pass pass, String point, Tensor tensor) {
            time(() -> observer.saw(step, pass, point, tensor));
        }

        @Override
        public void done(int step, Pass pass) {
            time(() -> observer.done(step, pass));
        }

        private void time(Runnable run) {
            long start = System.nanoTime();
            run.run();
            nanos += System.nanoTime() - start;
        }
    }

    /**
     * Times each operation of some forwards, and the norms of all blocks, after one forward that is not counted.
     *
     * @param f32 the same products in f32, on as many threads
     * @param step told of each forward that is done
     */
    StepProfile profile(PictureSize size, int runs, Ops f32, Runnable step) {
        Dit dit = klein.dit();
        Shape shape = klein.latentShape(size.width(), size.height());
        PositionIds txtIds = PositionIds.text(maxTokens);
        PositionIds imgIds = PositionIds.image((int) shape.dim(2), (int) shape.dim(3));
        float[] guidance = dit.config().guidanceEmbeds() ? new float[] {4} : null;
        TimedOps timed = new TimedOps(ops);
        double seconds = 0;
        try (Frame _ = ops.frame(); NormsProbe probe = NormsProbe.blockNorms(klein)) {
            TimedObserver norms = new TimedObserver(probe);
            Tensor noise = ops.input(Latents.pack(normal(1, shape)));
            Tensor embeds = ops.input(normal(2, Shape.of(1, maxTokens, dit.config().textDim())));
            Rope rope = dit.rope(ops, txtIds, imgIds);
            for (int run = -1; run < runs; run++) {
                if (run == 0) {
                    timed.reset();
                    norms.nanos = 0;
                    seconds = 0;
                }
                long start = System.nanoTime();
                try (Frame _ = ops.frame()) {
                    await(dit.forward(timed, noise, embeds, new float[] {0.5f}, guidance, txtIds, imgIds, rope,
                            Probes.of(norms, 0, Pass.COND)));
                    norms.done(0, Pass.COND);
                }
                seconds += (System.nanoTime() - start) / 1e9;
                step.run();
            }
            double watching = norms.nanos / 1e9;
            return StepProfile.of(size, runs, (seconds - watching) / runs, watching / runs, timed, ops, f32);
        }
    }

    /** The transformer's attention alone: queued calls, one after the other. */
    void attention(PictureSize size) {
        Dit dit = klein.dit();
        long heads = dit.config().heads();
        long hidden = dit.config().hidden();
        Shape latents = klein.latentShape(size.width(), size.height());
        long tokens = maxTokens + latents.dim(2) * latents.dim(3);
        try (Frame _ = ops.frame()) {
            List<Tensor> qkv = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                Tensor part = ops.alloc(Shape.of(1, tokens, hidden));
                try (Frame _ = ops.frame()) {
                    ops.copy(ops.input(normal(i, part.shape())), part);
                }
                qkv.add(part);
            }
            Tensor out = ops.alloc(Shape.of(1, tokens, hidden));
            watch.time(size, 4e-9 * tokens * tokens * hidden, calls, Map.of(BenchCommand.What.ATTENTION, () -> {
                for (int i = 0; i < calls; i++) {
                    ops.attention(qkv.get(0), qkv.get(1), qkv.get(2), heads, heads, AttentionMask.NONE, out);
                }
                await(out);
            }));
        }
    }

    /** Where memory is short, in tiles, and then with the way to and from the host. */
    void decode(PictureSize size) {
        int height = size.height() / 8;
        int width = size.width() / 8;
        HostTensor latents = normal(1, Shape.of(1, height, width, klein.vae().config().latentChannels()));
        VaeDecoding decoding = new VaeDecoding(ops, klein.vae(), Pictures.DEFAULT_BUDGET_BYTES);
        if (!decoding.plan(height, width).whole()) {
            watch.time(size, null, 1, Map.of(BenchCommand.What.DECODE, () -> decoding.decode(latents)));
            return;
        }
        try (Frame _ = ops.frame()) {
            Tensor x = ops.input(latents);
            watch.time(size, null, 1, Map.of(BenchCommand.What.DECODE, () -> {
                try (Frame _ = ops.frame()) {
                    await(klein.vae().decode(ops, x, Probes.NONE));
                }
            }));
        }
    }

    /** From the prompt to an 8-bit picture in memory. */
    void image(PictureSize size) {
        Shape shape = klein.latentShape(size.width(), size.height());
        watch.time(size, null, 1, Map.of(BenchCommand.What.IMAGE, () -> {
            HostTensor embeds = klein.encode(klein.tokenizer().prompt(PROMPT, maxTokens));
            HostTensor latents = klein.denoise(new Denoising(IMAGE_STEPS, 1, true), normal(1, shape), embeds, null, List.of(), null, null);
            Image8.ofUnit(klein.pictures().decode(latents));
        }));
    }

    private static HostTensor normal(long seed, Shape shape) {
        return new HostTensor("random", shape, TorchNoise.randn(TorchNoise.Kind.TORCH_CPU, TorchNoise.Type.F32, seed, shape.dims()));
    }

    private static void await(Tensor result) {
        Tensor row = result;
        for (int d = 0; d < result.shape().rank() - 1; d++) {
            row = row.slice(d, result.dim(d) - 1, result.dim(d));
        }
        row.toHost();
    }
}
