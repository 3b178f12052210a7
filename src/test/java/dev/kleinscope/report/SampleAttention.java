package dev.kleinscope.report;

import dev.kleinscope.analysis.Attention;
import dev.kleinscope.analysis.TokenSets;
import dev.kleinscope.analysis.WordMaps;
import dev.kleinscope.pipeline.PromptWords;
import dev.kleinscope.pipeline.TokenGroups;
import java.awt.image.BufferedImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/** Made-up attention of klein-4B's size: 25 blocks of 24 heads. {@code main} writes the report, to be looked at. */
final class SampleAttention {

    private static final int HEIGHT = 12;
    private static final int WIDTH = 20;

    private SampleAttention() {
    }

    public static void main(String[] args) throws Exception {
        Path folder = Files.createDirectories(Path.of(args[0]));
        AttentionReport.write(folder.resolve("attention.html"), of("a red cube on a table", List.of("red", "cube"), 24, 4, true), picture());
        AttentionReport.write(folder.resolve("hostile.html"), of(SampleNorms.HOSTILE, List.of(SampleNorms.HOSTILE, "word ".repeat(40)), 2, 1,
                false), null);
    }

    static byte[] picture() {
        BufferedImage image = new BufferedImage(320, 192, BufferedImage.TYPE_INT_RGB);
        for (int i = 0; i < 320 * 192; i++) {
            image.setRGB(i % 320, i / 320, 0x804020 + i % 320 / 2 + (i / 320 << 8));
        }
        return Thumbnail.png(image);
    }

    static Attention of(String prompt, List<String> words, int heads, int steps, boolean guided) {
        Random random = new Random(3);
        List<PromptWords.Word> found = new ArrayList<>();
        for (String word : words) {
            found.add(new PromptWords.Word(word, List.of(4 + found.size())));
        }
        Map<String, TokenSets> tokens = new LinkedHashMap<>();
        tokens.put("cond", new TokenSets(new TokenGroups(3, 9, 14, 64), found, HEIGHT * WIDTH));
        if (guided) {
            tokens.put("uncond", new TokenSets(new TokenGroups(3, 3, 8, 64), List.of(), HEIGHT * WIDTH));
        }
        List<String> blocks = IntStream.range(0, 25).mapToObj(i -> i < 5 ? "transformer_blocks." + i : "single_transformer_blocks." + (i - 5))
                .toList();
        List<Attention.Cell> cells = new ArrayList<>();
        WordMaps maps = new WordMaps(words.size(), 25, heads, HEIGHT, WIDTH);
        for (int step = 0; step < steps; step++) {
            for (Map.Entry<String, TokenSets> pass : tokens.entrySet()) {
                for (int block = 0; block < 25; block++) {
                    for (int head = 0; head < heads; head++) {
                        cells(step, pass, blocks.get(block), head, random, cells);
                    }
                }
            }
        }
        for (int word = 0; word < words.size(); word++) {
            for (int block = 0; block < 25; block++) {
                for (int head = 0; head < heads; head++) {
                    float[] map = maps.of(word, block, head);
                    int centre = random.nextInt(map.length);
                    for (int i = 0; i < map.length; i++) {
                        double x = i % WIDTH - centre % WIDTH;
                        double y = i / WIDTH - centre / WIDTH;
                        map[i] = (float) (0.01 * Math.exp(-(x * x + y * y) / 20) * (0.8 + 0.2 * random.nextDouble()));
                    }
                }
            }
        }
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("prompt", prompt);
        parameters.put("words", words);
        return new Attention(prompt, tokens, blocks, heads, IntStream.range(0, steps).boxed().toList(), cells, maps, parameters);
    }

    private static void cells(int step, Map.Entry<String, TokenSets> pass, String block, int head, Random random, List<Attention.Cell> cells) {
        TokenSets sets = pass.getValue();
        for (int from = 0; from < sets.sets().size(); from++) {
            double[] shares = IntStream.range(0, sets.sets().size())
                    .mapToDouble(to -> sets.evenShare(to) * Math.exp(0.5 * random.nextGaussian())).toArray();
            double scale = shares[0] + shares[1];
            for (int to = 0; to < shares.length; to++) {
                shares[to] /= scale;
            }
            cells.add(new Attention.Cell(step, pass.getKey(), block, head, from, Math.log(sets.tokens()) * random.nextDouble(), shares));
        }
    }
}
