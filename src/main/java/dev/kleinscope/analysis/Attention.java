package dev.kleinscope.analysis;

import dev.kleinscope.probe.Pass;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Where the heads of a run's attentions look.
 *
 * @param prompt as given
 * @param tokens by pass, {@code cond} and, if there is one, {@code uncond}
 * @param blocks names, in the order of computation
 * @param heads of each block
 * @param steps looked at, ascending
 * @param cells what was measured
 * @param maps of the words
 * @param parameters everything needed to repeat the run
 */
public record Attention(String prompt, Map<String, TokenSets> tokens, List<String> blocks, int heads, List<Integer> steps, List<Cell> cells,
        WordMaps maps, Map<String, Object> parameters) {

    static final String COND = Pass.COND.label();

    /**
     * What one head's queries of one set attend to: means over those queries.
     *
     * @param from place of the set of queries among the pass's sets
     * @param entropy of a query's attention over all keys, in nats, from 0 (one key) to ln(tokens) (all alike)
     * @param shares of all attention that goes to each set of keys; image and text add up to 1
     */
    public record Cell(int step, String pass, String block, int head, int from, double entropy, double[] shares) {
    }

    /**
     * A head by what it does for a word.
     *
     * @param share of the image's attention that goes to the word
     * @param peak of the head's map, see {@link WordMaps#peak}
     */
    public record WordHead(String block, int head, double share, double peak) {
    }

    /** Sets of the pass with the prompt. */
    public TokenSets sets() {
        return tokens.get(COND);
    }

    /**
     * Means over steps of the pass with the prompt.
     *
     * @return by block, head, set of queries and then the entropy and the shares of all sets of keys
     */
    public double[][][][] means() {
        int sets = sets().sets().size();
        double[][][][] means = new double[blocks.size()][heads][sets][1 + sets];
        for (Cell cell : cells) {
            if (cell.pass().equals(COND)) {
                double[] mean = means[blocks.indexOf(cell.block())][cell.head()][cell.from()];
                mean[0] += cell.entropy() / steps.size();
                for (int to = 0; to < sets; to++) {
                    mean[1 + to] += cell.shares()[to] / steps.size();
                }
            }
        }
        return means;
    }

    /** Mean over heads, of one block or of all. */
    public static double[] overHeads(double[][][] heads, int from) {
        double[] sum = new double[heads[0][from].length];
        for (double[][] head : heads) {
            for (int i = 0; i < sum.length; i++) {
                sum[i] += head[from][i] / heads.length;
            }
        }
        return sum;
    }

    /** Heads from which a word gets the largest share of the image's attention, largest first. */
    public List<WordHead> top(int word, int count) {
        double[][][][] means = means();
        int image = sets().indexOf(TokenSets.IMAGE);
        int set = sets().words().get(word);
        List<WordHead> all = new ArrayList<>();
        for (int block = 0; block < blocks.size(); block++) {
            for (int head = 0; head < heads; head++) {
                all.add(new WordHead(blocks.get(block), head, means[block][head][image][1 + set],
                        WordMaps.peak(maps.of(word, block, head))));
            }
        }
        all.sort(Comparator.comparingDouble(WordHead::share).reversed());
        return List.copyOf(all.subList(0, Math.min(count, all.size())));
    }

    /** What came out, in two sentences. */
    public String finding() {
        double[][][] all = Arrays.stream(means()).flatMap(Arrays::stream).toArray(double[][][]::new);
        double[] image = overHeads(all, sets().indexOf(TokenSets.IMAGE));
        String shares = List.of(TokenSets.IMAGE, TokenSets.PROMPT, TokenSets.TEMPLATE, TokenSets.PADDING).stream()
                .filter(name -> sets().indexOf(name) >= 0).map(name -> {
                    int set = sets().indexOf(name);
                    return String.format(Locale.ROOT, "%.1f%% (%.1f%%) to the %s", 100 * image[1 + set], 100 * sets().evenShare(set),
                            name.equals(TokenSets.IMAGE) ? "image itself" : name);
                }).collect(Collectors.joining(", "));
        return "Of the image's attention go " + shares + String.format(Locale.ROOT,
                "; in brackets what an even spread would give. An image token attends as if to %.0f of %d tokens alike (entropy %.2f nats).", Math.exp(image[0]), sets().tokens(), image[0]);
    }

    /** What these numbers cannot show. */
    public List<String> limits() {
        List<String> limits = new ArrayList<>(List.of(
                "Attention weights are not causal evidence: a head adds weight times value, and may look at a token and take next to nothing from "
                        + "it. What a token does to the picture shows only when it is changed.",
                "A word acts not only through its own tokens: the text encoder is causal, so every later position has read it, the template's "
                        + "last tokens above all; and within the transformer positions mix from the first block on.",
                "One prompt from one noise: nothing here tells a property of the model from one of this picture.",
                "Means over heads, steps and queries hide what single ones do; each map's colours reach to its own largest value."));
        if (sets().indexOf(TokenSets.PADDING) >= 0) {
            limits.add(1, "The transformer masks no padding: its tokens are attended to like others and can get a large share. Compare each share with "
                    + "an even spread's.");
        }
        return List.copyOf(limits);
    }
}
