package dev.kleinscope.analysis;

import java.util.List;
import java.util.Map;

/**
 * Activation patching: what each point of one run does to the outcome of another.
 *
 * @param from prompt of the run that activations are taken from, or the file that holds them
 * @param to prompt of the run that they are put into
 * @param nullPrompt another prompt whose activations were put there for comparison, or null
 * @param metrics in the order asked for; the first is what the finding is about
 * @param points patched points, in order of computation
 * @param streams patched streams
 * @param perStep whether steps were patched one at a time
 * @param cells every patched run
 * @param effects the same, averaged over seeds
 * @param parameters everything needed to repeat the run, in order
 * @param finding one sentence
 * @param limits what this run cannot show, a sentence each
 */
public record Patching(String from, String to, String nullPrompt, List<PatchMetric> metrics, List<String> points, List<String> streams,
        boolean perStep, List<Cell> cells, List<Effect> effects, Map<String, Object> parameters, String finding, List<String> limits) {

    /** Label of the source whose effects are wanted, in {@link Cell#source}. */
    public static final String FROM = "from";

    /** Label of the source for comparison. */
    public static final String NULL = "null";

    /**
     * One patched run.
     *
     * @param source {@link #FROM} or {@link #NULL}
     * @param step the only step that was patched, from 0; null for all
     * @param values by metric
     */
    public record Cell(String point, String stream, Integer step, long seed, String source, Map<PatchMetric, Double> values) {
    }

    /**
     * The mean over seeds.
     *
     * @param effect of the source's activation
     * @param spread standard deviation over seeds; NaN for one seed
     * @param nullEffect of the comparison's; null without one
     */
    public record Effect(String point, String stream, Integer step, PatchMetric metric, double effect, double spread, Double nullEffect) {
    }
}
