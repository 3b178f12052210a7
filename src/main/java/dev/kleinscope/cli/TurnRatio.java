package dev.kleinscope.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.apache.commons.statistics.descriptive.Quantile;

/**
 * A forward with probes that want nothing against the plain one that ran just before it, over all such turns.
 *
 * @param size of the picture
 * @param turns how many
 * @param median of the ratios
 * @param lower their first quartile
 * @param upper their third quartile
 * @param standardError of the median, as that of normally spread ratios: 0.93 times the distance of the quartiles over the root of the turns
 */
record TurnRatio(String size, int turns, double median, double lower, double upper, double standardError) {

    /** One for each size at which both were timed. */
    static List<TurnRatio> of(List<BenchCommand.Timing> timings) {
        List<TurnRatio> ratios = new ArrayList<>();
        for (BenchCommand.Timing probed : named(timings, BenchCommand.What.PROBES)) {
            named(timings, BenchCommand.What.FORWARD).stream().filter(plain -> plain.size().equals(probed.size())).findFirst()
                    .ifPresent(plain -> ratios.add(of(probed.size(), plain.seconds(), probed.seconds())));
        }
        return ratios;
    }

    private static List<BenchCommand.Timing> named(List<BenchCommand.Timing> timings, BenchCommand.What what) {
        return timings.stream().filter(timing -> timing.what().equals(what.toString())).toList();
    }

    static TurnRatio of(String size, List<Double> plain, List<Double> probed) {
        double[] ratios = IntStream.range(0, plain.size()).mapToDouble(i -> probed.get(i) / plain.get(i)).toArray();
        double[] quartiles = Quantile.withDefaults().with(Quantile.EstimationMethod.HF7).evaluate(ratios, 0.25, 0.5, 0.75);
        return new TurnRatio(size, ratios.length, quartiles[1], quartiles[0], quartiles[2],
                1.2533 / 1.349 * (quartiles[2] - quartiles[0]) / Math.sqrt(ratios.length));
    }

    String line() {
        return String.format(Locale.ROOT, "probes that want nothing, %s: %.4f of a plain forward (quartiles %.4f to %.4f, standard error of the "
                + "median %.4f, %d turns)", size, median, lower, upper, standardError, turns);
    }
}
