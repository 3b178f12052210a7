package dev.kleinscope.analysis;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * A stream at a point, over all forwards that were run.
 *
 * @param point probe point, a diffusers module path
 * @param stream as in {@link ChannelCell}
 * @param forwards how many: prompts by seeds by steps by passes
 * @param width how many channels the point has
 * @param norm geometric mean of the L2 norm
 * @param normWithoutTop the same of the norm without each forward's strongest channels
 * @param share mean share of the energy in those
 * @param massive the most massive channels in a forward
 * @param normWithoutMassive geometric mean of the norm without massive channels
 * @param channels those that were among a forward's strongest, the most frequent first
 * @param tokens the same of tokens; the same position with another text is another
 */
public record ChannelsSummary(String point, String stream, int forwards, int width, double norm, double normWithoutTop, double share,
        int massive, double normWithoutMassive, List<Recurring> channels, List<Recurring> tokens) {

    /**
     * A channel or token among the strongest.
     *
     * @param index as in {@link ChannelCell.Part}
     * @param text as there
     * @param forwards in how many it was among the strongest
     * @param share mean share of the energy where it was
     * @param timesMedian the largest of what it was against the median
     * @param massive in how many forwards it was massive
     */
    public record Recurring(int index, String text, int forwards, double share, double timesMedian, int massive) {
    }

    private record Key(String point, String stream) {
    }

    /** One for each point and stream, in the order of computation. */
    static List<ChannelsSummary> of(List<ChannelCell> cells) {
        Map<Key, List<ChannelCell>> byKey = new LinkedHashMap<>();
        cells.forEach(cell -> byKey.computeIfAbsent(new Key(cell.point(), cell.stream()), _ -> new ArrayList<>()).add(cell));
        return byKey.entrySet().stream().map(entry -> of(entry.getKey(), entry.getValue())).toList();
    }

    private static ChannelsSummary of(Key key, List<ChannelCell> cells) {
        return new ChannelsSummary(key.point, key.stream, cells.size(), cells.getFirst().width(), mean(cells, ChannelCell::norm),
                mean(cells, ChannelCell::normWithoutTop), cells.stream().mapToDouble(ChannelCell::share).average().orElseThrow(),
                cells.stream().mapToInt(ChannelCell::massive).max().orElseThrow(), mean(cells, ChannelCell::normWithoutMassive),
                recurring(cells, ChannelCell::channels), recurring(cells, ChannelCell::strongestTokens));
    }

    /** Geometric, as norms of different steps differ by factors. */
    private static double mean(List<ChannelCell> cells, Function<ChannelCell, Double> value) {
        return Math.exp(cells.stream().mapToDouble(cell -> Math.log(value.apply(cell))).average().orElseThrow());
    }

    private static List<Recurring> recurring(List<ChannelCell> cells, Function<ChannelCell, List<ChannelCell.Part>> parts) {
        record Who(int index, String text) {
        }
        Map<Who, List<ChannelCell.Part>> byWho = new LinkedHashMap<>();
        cells.forEach(cell -> parts.apply(cell).forEach(part ->
                byWho.computeIfAbsent(new Who(part.index(), part.text()), _ -> new ArrayList<>()).add(part)));
        return byWho.entrySet().stream().map(entry -> new Recurring(entry.getKey().index, entry.getKey().text, entry.getValue().size(),
                entry.getValue().stream().mapToDouble(ChannelCell.Part::share).average().orElseThrow(),
                entry.getValue().stream().mapToDouble(ChannelCell.Part::timesMedian).max().orElseThrow(),
                (int) entry.getValue().stream().filter(ChannelCell.Part::massive).count()))
                .sorted(Comparator.comparingInt(Recurring::forwards).thenComparingDouble(Recurring::share).reversed()
                        .thenComparingInt(Recurring::index))
                .toList();
    }
}
