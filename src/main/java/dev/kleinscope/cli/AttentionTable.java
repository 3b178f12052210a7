package dev.kleinscope.cli;

import dev.kleinscope.analysis.Attention;
import dev.kleinscope.analysis.TokenSets;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** A look at attention on a terminal: what came out, blocks or heads, the heads of each word, and what it cannot show. */
final class AttentionTable {

    private static final int TOP_HEADS = 3;

    private AttentionTable() {
    }

    static void print(Attention attention, boolean everyHead, Console console) {
        console.result(attention.finding());
        console.result("");
        console.result((everyHead ? "Each head" : "Each block, mean over its heads") + ", mean over "
                + (attention.steps().size() == 1 ? "step " + attention.steps().getFirst() : attention.steps().size() + " steps")
                + ": entropy of the image's attention in nats, its shares in percent, and the share of the prompt's that goes to the image");
        console.result(String.format(Locale.ROOT, "  %-27s %8s %8s %8s %8s %8s %14s", everyHead ? "block, head" : "block", "entropy", "image",
                "prompt", "template", "padding", "prompt->image"));
        double[][][][] means = attention.means();
        for (int block = 0; block < means.length; block++) {
            String name = attention.blocks().get(block);
            if (everyHead) {
                for (int head = 0; head < means[block].length; head++) {
                    console.result(line(attention, name + ", " + head, new double[][][] {means[block][head]}));
                }
            } else {
                console.result(line(attention, name, means[block]));
            }
        }
        words(attention, means, console);
        console.result("");
        attention.limits().forEach(limit -> console.result("Note: " + limit));
    }

    private static String line(Attention attention, String name, double[][][] heads) {
        TokenSets sets = attention.sets();
        double[] image = Attention.overHeads(heads, sets.indexOf(TokenSets.IMAGE));
        StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "  %-27s %8.3f", name, image[0]));
        for (String to : List.of(TokenSets.IMAGE, TokenSets.PROMPT, TokenSets.TEMPLATE, TokenSets.PADDING)) {
            int set = sets.indexOf(to);
            line.append(set < 0 ? String.format(Locale.ROOT, " %8s", "-") : String.format(Locale.ROOT, " %8.2f", 100 * image[1 + set]));
        }
        int prompt = sets.indexOf(TokenSets.PROMPT);
        line.append(prompt < 0 ? String.format(Locale.ROOT, " %14s", "-") : String.format(Locale.ROOT, " %14.2f",
                100 * Attention.overHeads(heads, prompt)[1 + sets.indexOf(TokenSets.IMAGE)]));
        return line.toString();
    }

    private static void words(Attention attention, double[][][][] means, Console console) {
        TokenSets sets = attention.sets();
        double[] image = Attention.overHeads(Arrays.stream(means).flatMap(Arrays::stream).toArray(double[][][]::new),
                sets.indexOf(TokenSets.IMAGE));
        for (int word = 0; word < sets.words().size(); word++) {
            int set = sets.words().get(word);
            TokenSets.Named named = sets.sets().get(set);
            console.result("");
            console.result(String.format(Locale.ROOT, "\"%s\": %d %s, %.3f%% of the image's attention (%.3f%% if it were spread evenly); most of it from",
                    Printable.text(named.word()), named.tokens().size(), named.tokens().size() == 1 ? "token" : "tokens", 100 * image[1 + set],
                    100 * sets.evenShare(set)));
            for (Attention.WordHead head : attention.top(word, TOP_HEADS)) {
                console.result(String.format(Locale.ROOT, "  %-27s %8.3f%%  peak %.2f", head.block() + ", " + head.head(), 100 * head.share(),
                        head.peak()));
            }
        }
    }
}
