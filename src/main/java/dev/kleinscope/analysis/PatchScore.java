package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.ClipScorer;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.tensor.HostTensor;
import java.util.Collection;
import java.util.EnumMap;
import java.util.Map;

/** Where an outcome lies between those of two runs. */
final class PatchScore {

    /** Norms nearer to each other than this tell nothing of where one between them lies. */
    private static final double LEAST_LOG_RATIO = 1e-3;

    private final Klein klein;
    private final ClipScorer clip;
    private final Collection<PatchMetric> metrics;
    private final String aText;
    private final String bText;
    private final HostTensor a;
    private final HostTensor b;
    private HostTensor aPicture;
    private HostTensor bPicture;
    private double aClip;
    private double bClip;

    /**
     * @param clip scores pictures; null unless asked for
     * @param a final latents of the run that activations are taken from
     * @param b final latents of the run that they are put into
     * @throws InterventionException if the two are the same
     */
    PatchScore(Klein klein, ClipScorer clip, Collection<PatchMetric> metrics, String aText, String bText, HostTensor a, HostTensor b) {
        this.klein = klein;
        this.clip = clip;
        this.metrics = metrics;
        this.aText = aText;
        this.bText = bText;
        this.a = a;
        this.b = b;
        if (distance(a, b) == 0) {
            throw new InterventionException("both runs end in the same latents: there is no effect to measure; give two prompts that differ");
        }
        if (metrics.stream().anyMatch(PatchMetric::ofPictures)) {
            aPicture = klein.pictures().decode(a);
            bPicture = klein.pictures().decode(b);
            if (clip != null) {
                aClip = clip(aPicture);
                bClip = clip(bPicture);
            }
        }
    }

    Map<PatchMetric, Double> of(HostTensor z) {
        Map<PatchMetric, Double> values = new EnumMap<>(PatchMetric.class);
        HostTensor picture = aPicture == null ? null : klein.pictures().decode(z);
        for (PatchMetric metric : PatchMetric.values()) {
            if (!metric.ofPictures() || metrics.contains(metric)) {
                values.put(metric, switch (metric) {
                    case DISTANCE -> 1 - distance(z, a) / distance(b, a);
                    case PROJECTION -> projection(z);
                    case COSINE -> (cosine(z, a) - cosine(b, a)) / (1 - cosine(b, a));
                    case NORM -> norm(z);
                    case IMAGE -> 1 - distance(picture, aPicture) / distance(bPicture, aPicture);
                    case CLIP -> (clip(picture) - bClip) / (aClip - bClip);
                    case MOVED -> distance(z, b) / distance(a, b);
                });
            }
        }
        return values;
    }

    private double clip(HostTensor picture) {
        HostTensor embeds = clip.imageEmbeds(Image8.ofUnit(picture));
        return clip.cosine(embeds, aText) - clip.cosine(embeds, bText);
    }

    private double projection(HostTensor z) {
        double along = 0;
        for (int i = 0; i < z.values().length; i++) {
            along += ((double) z.values()[i] - b.values()[i]) * ((double) a.values()[i] - b.values()[i]);
        }
        double length = distance(a, b);
        return along / length / length;
    }

    private double norm(HostTensor z) {
        double whole = Math.log(a.norm() / b.norm());
        return Math.abs(whole) < LEAST_LOG_RATIO ? Double.NaN : Math.log(z.norm() / b.norm()) / whole;
    }

    private static double cosine(HostTensor x, HostTensor y) {
        double product = 0;
        for (int i = 0; i < x.values().length; i++) {
            product += (double) x.values()[i] * y.values()[i];
        }
        return product / x.norm() / y.norm();
    }

    private static double distance(HostTensor x, HostTensor y) {
        double sum = 0;
        for (int i = 0; i < x.values().length; i++) {
            double difference = (double) x.values()[i] - y.values()[i];
            sum += difference * difference;
        }
        return Math.sqrt(sum);
    }
}
