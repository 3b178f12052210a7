package dev.kleinscope.pipeline;

import dev.kleinscope.model.vae.Decoder;
import dev.kleinscope.model.vae.GroupNorm;
import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.List;

/**
 * Latents to a picture within a bound on memory: whole where that fits, else in tiles that show no seam.
 *
 * <p>Tiles differ from the whole in two ways only, since the attention in the middle always sees the whole picture. What
 * convolutions see beyond a tile is computed with it, so that their results are the same. What GroupNorm knows of the
 * picture, its means and variances, is gathered in rounds over all tiles: in the first, each tile is normalised by its
 * own, in each further one by those of the round before. The first GroupNorm is exact after one round, the second after
 * two, and so on; the rounds end when no statistic moves by more than {@link #SETTLED}, or when all are exact. All tiles
 * are then decoded with the same statistics.
 */
public final class VaeDecoding {

    /**
     * Largest change of a statistic, in standard deviations, at which the rounds end. On random weights, the slowest to
     * settle, pictures then lie within one of 255 levels of the whole's, at 68 dB and above.
     */
    static final double SETTLED = 1e-2;

    private final Ops ops;
    private final Vae vae;
    private final long budgetBytes;
    private final double settled;

    /** @param budgetBytes working memory it may take, without the weights */
    public VaeDecoding(Ops ops, Vae vae, long budgetBytes) {
        this(ops, vae, budgetBytes, SETTLED);
    }

    VaeDecoding(Ops ops, Vae vae, long budgetBytes, double settled) {
        this.ops = ops;
        this.vae = vae;
        this.budgetBytes = budgetBytes;
        this.settled = settled;
    }

    /** How latents of a size would be decoded. @throws IllegalArgumentException if the budget is too small for any way */
    public TilePlan plan(int height, int width) {
        return TilePlan.of(vae.config(), height, width, ops.pictureType(), budgetBytes);
    }

    /**
     * @param latents [1, h, w, latentChannels], not normalised
     * @return [1, 8h, 8w, 3], about -1 to 1
     * @throws IllegalArgumentException if the latents are misshapen or the budget is too small
     */
    public HostTensor decode(HostTensor latents) {
        requireLatents(latents);
        return decode(latents, plan((int) latents.shape().dim(1), (int) latents.shape().dim(2)));
    }

    /**
     * A picture as planes.
     *
     * @param latents as {@link #decode} takes them
     * @return [1, 3, 8h, 8w], 0 to 1
     * @throws IllegalArgumentException as {@link #decode} throws it
     */
    public HostTensor planes(HostTensor latents) {
        requireLatents(latents);
        TilePlan plan = plan((int) latents.shape().dim(1), (int) latents.shape().dim(2));
        if (!plan.whole()) {
            return Planes.unit(decode(latents, plan));
        }
        try (Frame _ = ops.frame()) {
            Tensor picture = vae.decode(ops, ops.input(latents), Probes.NONE);
            // taking memory from the system costs milliseconds, in which a GPU is still at work
            float[] planes = new float[Math.toIntExact(picture.shape().elements())];
            return Planes.unit(picture.toHost(), planes);
        }
    }

    private void requireLatents(HostTensor latents) {
        Shape shape = latents.shape();
        if (shape.rank() != 4 || shape.dim(0) != 1 || shape.elements() == 0 || shape.dim(3) != vae.config().latentChannels()) {
            throw new IllegalArgumentException("decode: expected latents [1, height, width, " + vae.config().latentChannels()
                    + "], found " + latents.name() + shape);
        }
    }

    HostTensor decode(HostTensor latents, TilePlan plan) {
        try (Frame frame = ops.frame()) {
            if (plan.whole()) {
                return vae.decode(ops, ops.input(latents), Probes.NONE).toHost();
            }
            Tensor x = vae.decoder().middle(ops, ops.input(latents), Probes.NONE);
            for (int stage = 0; stage < plan.stage(); stage++) {
                Tensor next = vae.decoder().stage(ops, stage, x, GroupNorm.Statistics.OWN, Probes.NONE);
                frame.release(x);
                x = next;
            }
            return tiles(x, plan);
        }
    }

    private HostTensor tiles(Tensor x, TilePlan plan) {
        List<TilePlan.Span> down = TilePlan.spans((int) x.dim(1), plan.tilesDown(), plan.margin());
        List<TilePlan.Span> across = TilePlan.spans((int) x.dim(2), plan.tilesAcross(), plan.margin());
        TileStatistics statistics = settle(x, plan.stage(), down, across);
        int scale = 1 << (vae.config().blocks() - plan.stage());
        int channels = (int) vae.config().outChannels();
        int width = (int) x.dim(2) * scale;
        float[] picture = new float[Math.toIntExact(x.dim(1) * scale * width * channels)];
        for (TilePlan.Span rows : down) {
            for (TilePlan.Span columns : across) {
                try (Frame _ = ops.frame()) {
                    HostTensor window = window(x, plan.stage(), rows, columns, statistics.fixed()).toHost();
                    int windowWidth = (columns.windowTo() - columns.windowFrom()) * scale;
                    int left = columns.from() * scale;
                    for (int row = rows.from() * scale; row < rows.to() * scale; row++) {
                        int source = (row - rows.windowFrom() * scale) * windowWidth + left - columns.windowFrom() * scale;
                        System.arraycopy(window.values(), source * channels, picture, (row * width + left) * channels,
                                (columns.to() - columns.from()) * scale * channels);
                    }
                }
            }
        }
        return HostTensor.of("decoded", picture, 1, x.dim(1) * scale, width, channels);
    }

    private TileStatistics settle(Tensor x, int stage, List<TilePlan.Span> down, List<TilePlan.Span> across) {
        TileStatistics statistics = round(null, x, stage, down, across);
        for (int exact = 1; exact < statistics.norms(); exact++) {
            statistics = round(statistics, x, stage, down, across);
            if (statistics.change() <= settled) {
                break;
            }
        }
        return statistics;
    }

    private TileStatistics round(TileStatistics earlier, Tensor x, int stage, List<TilePlan.Span> down,
            List<TilePlan.Span> across) {
        TileStatistics statistics = new TileStatistics(earlier);
        for (TilePlan.Span rows : down) {
            for (TilePlan.Span columns : across) {
                try (Frame _ = ops.frame()) {
                    window(x, stage, rows, columns, statistics.gather(rows, columns));
                }
            }
        }
        return statistics;
    }

    private Tensor window(Tensor x, int from, TilePlan.Span rows, TilePlan.Span columns, GroupNorm.Statistics statistics) {
        Decoder decoder = vae.decoder();
        try (Frame frame = ops.frame()) {
            Tensor view = x.slice(1, rows.windowFrom(), rows.windowTo()).slice(2, columns.windowFrom(), columns.windowTo());
            Tensor h = ops.alloc(view.shape());
            ops.copy(view, h);
            for (int stage = from; stage < vae.config().blocks(); stage++) {
                Tensor next = decoder.stage(ops, stage, h, statistics, Probes.NONE);
                frame.release(h);
                h = next;
            }
            return frame.escape(decoder.finish(ops, h, statistics, Probes.NONE));
        }
    }
}
