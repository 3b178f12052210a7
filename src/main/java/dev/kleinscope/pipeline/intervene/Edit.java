package dev.kleinscope.pipeline.intervene;

import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.probe.ActivationSource;
import dev.kleinscope.probe.Change;
import dev.kleinscope.probe.Direction;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Ranges;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * An intervention at one point in one forward, made where the activation lies.
 *
 * @param intervention what is done
 * @param point where
 * @param rows that are changed
 * @param meanRows that are averaged, by an intervention that does so
 */
record Edit(Intervention intervention, String point, List<Span> rows, List<Span> meanRows) {

    /** Values that pass between host and device at a time. */
    private static final long CHUNK_ELEMENTS = 1 << 22;

    /** Changes a tensor [batch, rows, ..] or [rows, channels] in place. */
    void apply(Ops ops, Tensor tensor, int step, Pass pass) {
        Tensor x = tensor.shape().rank() == 4
                ? tensor.reshape(tensor.dim(0), tensor.dim(1), tensor.dim(2) * tensor.dim(3)) : tensor;
        int width = Math.toIntExact(x.dim(-1));
        Ranges wanted = intervention.channels();
        if (wanted.last() >= width) {
            throw new InterventionException(intervention + ": " + point + " has channels 0 to " + (width - 1));
        }
        List<Span> channels = Span.pick(List.of(new Span(0, width)), wanted);
        List<Span> selected = rows.stream().map(span -> new Span(span.from(), Math.min(span.to(), (int) x.dim(-2)))).toList();
        try (Frame _ = ops.frame()) {
            switch (intervention.change()) {
                case Change.Scale scale -> each(ops, x, selected, channels, (part, _, _) -> scale(ops, part, scale.factor()));
                case Change.Zero _ -> each(ops, x, selected, channels, (part, _, _) -> fill(ops, new float[(int) part.dim(-1)], part));
                case Change.Mean mean when mean.from() != null -> foreignMean(ops, x, selected, channels,
                        activation(mean.from(), step, pass, tensor));
                case Change.Mean _ -> channels.forEach(span -> mean(ops, x, selected, span));
                case Change.Add add -> {
                    float[] vector = fitting(add.vector(), Span.sum(channels));
                    each(ops, x, selected, channels, (part, _, at) -> add(ops, part, vector, at, add.strength()));
                }
                case Change.Remove remove -> {
                    fitting(remove.direction(), Span.sum(channels));
                    double[] d = remove.direction().unit();
                    project(ops, x, selected, channels, new double[][] {d}, new double[][] {scaled(d, -remove.strength())});
                }
                case Change.Turn turn -> turn(ops, x, selected, channels, turn);
                case Change.TurnPairs turn -> turnPairs(ops, x, selected, channels, turn);
                case Change.Replace replace -> replace(ops, x, selected, channels, activation(replace.from(), step, pass, tensor));
                case Change.Noise noise -> noise(ops, x, selected, channels, noise,
                        SeededNumbers.at(noise.seed(), step, pass.ordinal(), point));
            }
            ops.settle();
        }
    }

    /** Takes a part of an activation, its channels, and the first of these among all that are selected. */
    private interface Part {
        void change(Tensor part, Span channels, int firstSelected);
    }

    private static void each(Ops ops, Tensor x, List<Span> rows, List<Span> channels, Part change) {
        for (Span row : rows) {
            int at = 0;
            for (Span channel : channels) {
                try (Frame _ = ops.frame()) {
                    change.change(part(x, row, channel), channel, at);
                }
                at += channel.size();
            }
        }
    }

    private static Tensor part(Tensor x, Span rows, Span channels) {
        return x.slice(-2, rows.from(), rows.to()).slice(-1, channels.from(), channels.to());
    }

    private static Tensor copy(Ops ops, Tensor x) {
        Tensor out = ops.alloc(x.shape());
        ops.copy(x, out);
        return out;
    }

    private static void fill(Ops ops, float[] row, Tensor out) {
        ops.embedding(ops.input(HostTensor.of("row", row, 1, row.length)), new int[Math.toIntExact(out.rows())], out);
    }

    private static Tensor filled(Ops ops, Shape shape, float value) {
        float[] row = new float[Math.toIntExact(shape.dim(-1))];
        Arrays.fill(row, value);
        Tensor out = ops.alloc(shape);
        fill(ops, row, out);
        return out;
    }

    private static void scale(Ops ops, Tensor x, double factor) {
        ops.addScaled(filled(ops, x.shape(), 0), copy(ops, x), factor, x);
    }

    private static void add(Ops ops, Tensor x, float[] vector, int first, double strength) {
        int width = Math.toIntExact(x.dim(-1));
        int batch = x.shape().rank() == 3 ? Math.toIntExact(x.dim(0)) : 1;
        float[] rows = new float[batch * width];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = (float) (strength * vector[first + i % width]);
        }
        if (x.shape().rank() == 3) {
            // the vector stays f32 where activations are bf16
            ops.gatedResidual(copy(ops, x), ops.input(HostTensor.of("vector", rows, batch, width)), filled(ops, x.shape(), 1), x);
        } else {
            Tensor spread = ops.alloc(x.shape());
            fill(ops, rows, spread);
            ops.addScaled(copy(ops, x), spread, 1, x);
        }
    }

    /** Each token becomes the mean over {@link #meanRows}, for each element of the batch. */
    private void mean(Ops ops, Tensor x, List<Span> selected, Span channels) {
        Tensor mean = null;
        int counted = 0;
        for (Span span : meanRows) {
            Tensor some = copy(ops, part(x, span, channels));
            long batch = some.shape().rank() == 3 ? some.dim(0) : 1;
            Tensor moments = ops.groupMoments(some.reshape(batch, 1, span.size(), channels.size()), channels.size());
            Tensor means = moments.slice(1, 0, 1);
            counted += span.size();
            mean = mean == null ? means : ops.lerp(mean, means, (double) span.size() / counted);
        }
        for (Span span : selected) {
            Tensor part = part(x, span, channels);
            for (int b = 0; b < mean.dim(0); b++) {
                Tensor element = part.shape().rank() == 3 ? part.slice(0, b, b + 1) : part;
                ops.embedding(mean.slice(0, b, b + 1).reshape(1, channels.size()), new int[span.size()], element);
            }
        }
    }

    private void foreignMean(Ops ops, Tensor x, List<Span> selected, List<Span> channels, Tensor from) {
        int batch = x.shape().rank() == 3 ? Math.toIntExact(x.dim(0)) : 1;
        int tokens = Span.sum(selected);
        for (int b = 0; b < batch; b++) {
            for (Span channel : channels) {
                double[] sums = new double[channel.size()];
                for (Span row : selected) {
                    for (int token = row.from(); token < row.to(); token++) {
                        float[] values = part(element(from, b), new Span(token, token + 1), channel).toHost().values();
                        for (int i = 0; i < sums.length; i++) {
                            sums[i] += values[i];
                        }
                    }
                }
                float[] mean = new float[sums.length];
                for (int i = 0; i < mean.length; i++) {
                    mean[i] = (float) (sums[i] / tokens);
                }
                for (Span row : selected) {
                    fill(ops, mean, part(element(x, b), row, channel));
                }
            }
        }
    }

    private static Tensor element(Tensor x, int b) {
        return x.shape().rank() == 3 ? x.slice(0, b, b + 1) : x;
    }

    private void turn(Ops ops, Tensor x, List<Span> selected, List<Span> channels, Change.Turn turn) {
        fitting(turn.first(), Span.sum(channels));
        fitting(turn.second(), Span.sum(channels));
        double[] u = turn.first().unit();
        double[] v = turn.second().unitBeside(turn.first());
        double cos = Math.cos(Math.toRadians(turn.degrees())) - 1;
        double sin = Math.sin(Math.toRadians(turn.degrees()));
        double[] forU = new double[u.length];
        double[] forV = new double[u.length];
        for (int i = 0; i < u.length; i++) {
            forU[i] = cos * u[i] + sin * v[i];
            forV[i] = cos * v[i] - sin * u[i];
        }
        project(ops, x, selected, channels, new double[][] {u, v}, new double[][] {forU, forV});
    }

    private void project(Ops ops, Tensor x, List<Span> selected, List<Span> channels, double[][] from, double[][] to) {
        Tensor along = ops.input(vectors(from));
        Tensor added = ops.input(vectors(to));
        each(ops, x, selected, one(channels), (part, _, _) -> ops.addProjections(copy(ops, part), along, added, part));
    }

    private void turnPairs(Ops ops, Tensor x, List<Span> selected, List<Span> channels, Change.TurnPairs turn) {
        int width = one(channels).getFirst().size();
        if (width % 2 != 0) {
            throw new InterventionException(intervention + ": pairs of channels are turned, but " + width + " of " + point
                    + " are selected; select an even number");
        }
        SeededNumbers numbers = new SeededNumbers(turn.seed());
        double sin = Math.sin(Math.toRadians(turn.degrees()));
        float[] cosines = new float[width / 2];
        float[] sines = new float[width / 2];
        for (int pair = 0; pair < cosines.length; pair++) {
            cosines[pair] = (float) Math.cos(Math.toRadians(turn.degrees()));
            sines[pair] = (float) (numbers.bit(pair) ? -sin : sin);
        }
        Rope rope = new Rope(ops.input(HostTensor.of("cosines", cosines, 1, width / 2)), ops.input(HostTensor.of("sines", sines, 1, width / 2)),
                Rope.Pairing.ADJACENT);
        each(ops, x, selected, channels, (part, _, _) -> {
            Tensor turned = ops.alloc(part.shape());
            ops.rotate(copy(ops, part).reshape(part.rows(), 1, width), rope, turned.reshape(part.rows(), 1, width));
            ops.copy(turned, part);
        });
    }

    private void replace(Ops ops, Tensor x, List<Span> selected, List<Span> channels, Tensor from) {
        chunks(x, selected, channels).forEach(rows -> each(ops, x, List.of(rows), channels,
                (part, span, _) -> ops.copy(ops.input(part(from, rows, span).toHost()), part)));
    }

    private void noise(Ops ops, Tensor x, List<Span> selected, List<Span> channels, Change.Noise noise, SeededNumbers numbers) {
        long width = x.dim(-1);
        int tokens = Math.toIntExact(x.dim(-2));
        for (Span rows : chunks(x, selected, channels)) {
            double[] sizes = noise.absolute() ? null : rootMeanSquares(ops, x, rows, channels);
            for (Span channel : channels) {
                try (Frame _ = ops.frame()) {
                    Tensor part = part(x, rows, channel);
                    int count = channel.size();
                    float[] values = new float[Math.toIntExact(part.shape().elements())];
                    IntStream.range(0, values.length / count).parallel().forEach(row -> {
                        long token = (long) (row / rows.size()) * tokens + rows.from() + row % rows.size();
                        double size = noise.size() * (sizes == null ? 1 : sizes[row]);
                        for (int i = 0; i < count; i++) {
                            values[row * count + i] = (float) (size * numbers.normal(token * width + channel.from() + i));
                        }
                    });
                    ops.addScaled(copy(ops, part), ops.input(new HostTensor("noise", part.shape(), values)), 1, part);
                }
            }
        }
    }

    /** Of each row's selected channels. */
    private static double[] rootMeanSquares(Ops ops, Tensor x, Span rows, List<Span> channels) {
        double[] sizes = null;
        for (Span channel : channels) {
            try (Frame _ = ops.frame()) {
                Tensor part = copy(ops, part(x, rows, channel));
                float[] sums = ops.rowMoments(part.reshape(1, part.rows(), channel.size()), null).toHost().values();
                sizes = sizes == null ? new double[sums.length / 2] : sizes;
                for (int row = 0; row < sizes.length; row++) {
                    sizes[row] += (double) sums[2 * row] + sums[2 * row + 1];
                }
            }
        }
        int count = Span.sum(channels);
        return Arrays.stream(sizes).map(sum -> Math.sqrt(sum / count)).toArray();
    }

    /** The rows in pieces that are small enough to pass between host and device. */
    private static List<Span> chunks(Tensor x, List<Span> selected, List<Span> channels) {
        long rowElements = (x.shape().rank() == 3 ? x.dim(0) : 1) * Span.sum(channels);
        int most = (int) Math.max(1, CHUNK_ELEMENTS / Math.max(1, rowElements));
        return selected.stream().flatMap(span -> IntStream.iterate(span.from(), from -> from < span.to(), from -> from + most)
                .mapToObj(from -> new Span(from, Math.min(span.to(), from + most)))).toList();
    }

    /** Another run's activation, shaped as the rows that are changed. */
    private Tensor activation(ActivationSource source, int step, Pass pass, Tensor tensor) {
        Tensor found = source.activation(step, pass, point);
        if (!found.shape().equals(tensor.shape())) {
            throw new InterventionException(intervention + ": " + point + " is " + tensor.shape() + " here, but " + found.shape() + " in "
                    + source.describe() + "; both runs need the same picture size and --max-tokens");
        }
        return found.shape().rank() == 4 ? found.reshape(found.dim(0), found.dim(1), found.dim(2) * found.dim(3)) : found;
    }

    private List<Span> one(List<Span> channels) {
        if (channels.size() != 1) {
            throw new InterventionException(intervention + ": directions span neighbouring channels; give one range of channels");
        }
        return channels;
    }

    private float[] fitting(Direction direction, int width) {
        if (direction.values().length != width) {
            throw new InterventionException(intervention + ": " + direction + " has " + direction.values().length + " values, but " + width
                    + " channels of " + point + " are selected");
        }
        return direction.values();
    }

    private static double[] scaled(double[] vector, double factor) {
        return Arrays.stream(vector).map(value -> factor * value).toArray();
    }

    private static HostTensor vectors(double[][] rows) {
        int width = rows[0].length;
        float[] values = new float[rows.length * width];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) rows[i / width][i % width];
        }
        return HostTensor.of("directions", values, rows.length, width);
    }
}
