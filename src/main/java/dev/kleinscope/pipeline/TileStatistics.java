package dev.kleinscope.pipeline;

import dev.kleinscope.model.vae.GroupNorm;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The statistics of each GroupNorm over a picture that is computed tile by tile: gathers them from all tiles, and
 * normalises each tile by what an earlier round over the picture has gathered.
 */
final class TileStatistics {

    /** Sums over the pixels and channels of each group. */
    private record Sums(double[] weight, double[] values, double[] squares) {

        Sums(int groups) {
            this(new double[groups], new double[groups], new double[groups]);
        }

        double mean(int group) {
            return values[group] / weight[group];
        }

        double variance(int group) {
            return Math.max(0, squares[group] / weight[group] - mean(group) * mean(group));
        }
    }

    private final TileStatistics earlier;
    private final Map<String, Sums> sums = new LinkedHashMap<>();

    /** @param earlier what an earlier round gathered, or null to normalise each tile by its own */
    TileStatistics(TileStatistics earlier) {
        this.earlier = earlier;
    }

    /** Normalises a window by the earlier round's statistics, and gathers those of its tile. */
    GroupNorm.Statistics gather(TilePlan.Span rows, TilePlan.Span columns) {
        return (ops, norm, x) -> {
            long scale = x.dim(1) / (rows.windowTo() - rows.windowFrom());
            Tensor tile = x.slice(1, (rows.from() - rows.windowFrom()) * scale, (rows.to() - rows.windowFrom()) * scale)
                    .slice(2, (columns.from() - columns.windowFrom()) * scale, (columns.to() - columns.windowFrom()) * scale);
            Tensor moments = ops.groupMoments(tile, norm.groups());
            add(norm.name(), moments.toHost().values(), (double) tile.dim(1) * tile.dim(2));
            return earlier == null ? moments : earlier.of(ops, norm);
        };
    }

    /** Normalises by what was gathered here. */
    GroupNorm.Statistics fixed() {
        return (ops, norm, x) -> of(ops, norm);
    }

    private Tensor of(Ops ops, GroupNorm norm) {
        int groups = (int) norm.groups();
        Sums sum = sums.get(norm.name());
        float[] moments = new float[2 * groups];
        for (int group = 0; group < groups; group++) {
            moments[group] = (float) sum.mean(group);
            moments[groups + group] = (float) sum.variance(group);
        }
        return ops.input(HostTensor.of(norm.name(), moments, 1, 2, groups));
    }

    private void add(String norm, float[] moments, double weight) {
        int groups = moments.length / 2;
        Sums sum = sums.computeIfAbsent(norm, name -> new Sums(groups));
        for (int group = 0; group < groups; group++) {
            double mean = moments[group];
            sum.weight[group] += weight;
            sum.values[group] += weight * mean;
            sum.squares[group] += weight * (moments[groups + group] + mean * mean);
        }
    }

    /** GroupNorms that statistics were gathered of. */
    int norms() {
        return sums.size();
    }

    /** The largest change of a mean since the earlier round, in standard deviations, or of a standard deviation, in parts. */
    double change() {
        double largest = 0;
        for (Map.Entry<String, Sums> entry : sums.entrySet()) {
            Sums now = entry.getValue();
            Sums before = earlier.sums.get(entry.getKey());
            for (int group = 0; group < now.weight.length; group++) {
                double deviation = Math.sqrt(now.variance(group)) + Double.MIN_NORMAL;
                largest = Math.max(largest, Math.abs(now.mean(group) - before.mean(group)) / deviation);
                largest = Math.max(largest, Math.abs(deviation - Math.sqrt(before.variance(group))) / deviation);
            }
        }
        return largest;
    }
}
