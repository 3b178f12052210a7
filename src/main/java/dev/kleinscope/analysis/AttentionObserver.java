package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Readings;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Sums what each head's queries attend to, block by block: from the queries and keys as the attention reads them, where they are.
 * At no time is more held than one block's sums, a row for each query of each head.
 */
final class AttentionObserver implements Observer, AutoCloseable {

    private static final String Q = ".attn.q";
    private static final String K = ".attn.k";

    private final Readings readings;
    private final int heads;
    private final Map<String, TokenSets> tokens;
    private final Map<String, Integer> blocks = new LinkedHashMap<>();
    private final Set<Integer> steps;
    private final WordMaps maps;
    private final List<Attention.Cell> cells = new ArrayList<>();
    private Tensor q;

    /**
     * @param readings the model's; closed with this
     * @param blocks names, in order
     * @param steps which to look at
     * @param maps what the words' maps are added to
     */
    AttentionObserver(Readings readings, int heads, Map<String, TokenSets> tokens, List<String> blocks, Set<Integer> steps, WordMaps maps) {
        this.readings = readings;
        this.heads = heads;
        this.tokens = tokens;
        this.steps = steps;
        this.maps = maps;
        blocks.forEach(block -> this.blocks.put(block, this.blocks.size()));
    }

    /** Blocks of whose attention the queries and keys can be seen, among the names of points. */
    static List<String> blocks(List<String> points) {
        return points.stream().filter(point -> point.endsWith(Q)).map(AttentionObserver::block).toList();
    }

    private static String block(String point) {
        return point.substring(0, point.length() - Q.length());
    }

    @Override
    public boolean wants(String point) {
        return (point.endsWith(Q) || point.endsWith(K)) && blocks.containsKey(block(point));
    }

    /** A block's queries come right before its keys. */
    @Override
    public void saw(int step, Pass pass, String point, Tensor tensor) {
        if (!steps.contains(step)) {
            return;
        }
        if (point.endsWith(Q)) {
            q = tensor;
            return;
        }
        if (tensor.dim(0) != 1) {
            throw new IllegalArgumentException(point + ": attention is looked at in one picture at a time, found " + tensor.shape());
        }
        TokenSets sets = tokens.get(pass.label());
        Readings.Reading sums = readings.attentionShares(q, tensor, heads, sets.parts(), sets.partCount());
        q = null;
        readings.finish();
        String block = block(point);
        for (int head = 0; head < heads; head++) {
            record(step, pass, block, head, sets, sums);
        }
        readings.reuse();
    }

    private void record(int step, Pass pass, String block, int head, TokenSets sets, Readings.Reading sums) {
        int count = sets.sets().size();
        int first = head * sets.tokens();
        for (int from = 0; from < count; from++) {
            List<Integer> queries = sets.sets().get(from).tokens();
            double[] means = new double[1 + sets.partCount()];
            for (int query : queries) {
                for (int column = 0; column < means.length; column++) {
                    means[column] += sums.at(first + query, column) / (double) queries.size();
                }
            }
            double[] shares = new double[count];
            for (int to = 0; to < count; to++) {
                shares[to] = sets.members(to).stream().mapToDouble(part -> means[1 + part]).sum();
            }
            cells.add(new Attention.Cell(step, pass.label(), block, head, from, means[0], shares));
        }
        if (pass == Pass.COND) {
            List<Integer> image = sets.sets().get(sets.indexOf(TokenSets.IMAGE)).tokens();
            List<Integer> words = sets.words();
            for (int word = 0; word < words.size(); word++) {
                float[] map = maps.of(word, blocks.get(block), head);
                List<Integer> members = sets.members(words.get(word));
                for (int i = 0; i < map.length; i++) {
                    for (int part : members) {
                        map[i] += sums.at(first + image.get(i), 1 + part) / steps.size();
                    }
                }
            }
        }
    }

    /** What was seen, in the order of computation. */
    List<Attention.Cell> cells() {
        return cells;
    }

    @Override
    public void close() {
        readings.close();
    }
}
