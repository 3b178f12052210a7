package dev.kleinscope.report;

import static dev.kleinscope.report.PageParts.data;
import static dev.kleinscope.report.PageParts.elements;
import static dev.kleinscope.report.PageParts.markup;
import static dev.kleinscope.report.PageParts.raw;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import dev.kleinscope.analysis.Attention;
import dev.kleinscope.analysis.WordMaps;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class AttentionReportTest {

    private static final List<String> WORDS = List.of("red", "cube");

    @TempDir
    private Path folder;

    @Test
    void hostileWordsStayDataAndArriveWhole() throws Exception {
        String tame = AttentionReport.html(SampleAttention.of("a", WORDS, 2, 1, false), null);
        String hostile = AttentionReport.html(SampleAttention.of(SampleNorms.HOSTILE, List.of(SampleNorms.HOSTILE, "</script><b>"), 2, 1, false), null);
        assertEquals(raw(tame).size(), raw(hostile).size());
        assertEquals(elements(markup(tame), "*").size(), elements(markup(hostile), "*").size());
        assertEquals(PageParts.frame(tame), PageParts.frame(hostile));
        JsonNode data = data(hostile);
        assertEquals(SampleNorms.HOSTILE, data.get("prompt").asString());
        assertEquals(SampleNorms.HOSTILE, data.get("words").get(0).get("word").asString());
        assertEquals("</script><b>", data.get("words").get(1).get("word").asString());
    }

    @Test
    void thePageHasEveryHeadAndTheMapsOfTheStrongest() throws IOException {
        Attention attention = SampleAttention.of("a red cube", WORDS, 24, 3, true);
        JsonNode data = data(AttentionReport.html(attention, SampleAttention.picture()));
        JsonNode shares = data.get("quantities").valueStream().filter(each -> each.get("title").asString().equals("From the image to \"cube\""))
                .findFirst().orElseThrow();
        assertEquals(3, shares.get("steps").size());
        double[][][][] means = attention.means();
        for (int block = 0; block < 25; block++) {
            for (int head = 0; head < 24; head++) {
                assertEquals(means[block][head][0][1 + 6], shares.get("mean").get(block).get(head).asDouble(), 1e-4 * means[block][head][0][1 + 6]);
            }
        }
        JsonNode red = data.get("words").get(0);
        assertEquals(AttentionData.MAPS, red.get("maps").size());
        Attention.WordHead strongest = attention.top(0, 1).getFirst();
        assertEquals(strongest.block(), red.get("top_heads").get(0).get("block").asString());
        BufferedImage map = image(red.get("maps").get(0).asString());
        assertEquals(List.of(20, 12), List.of(map.getWidth(), map.getHeight()));
        float[] values = attention.maps().of(0, attention.blocks().indexOf(strongest.block()), strongest.head());
        int brightest = 0;
        for (int i = 0; i < values.length; i++) {
            brightest = values[i] > values[brightest] ? i : brightest;
        }
        assertEquals(0xfcffa4, map.getRGB(brightest % 20, brightest / 20) & 0xffffff);
        assertTrue(image(data.get("picture").asString()).getWidth() > 0);
    }

    private static BufferedImage image(String uri) throws IOException {
        assertTrue(uri.startsWith("data:image/png;base64,"), uri);
        return ImageIO.read(new ByteArrayInputStream(Base64.getDecoder().decode(uri.substring(uri.indexOf(',') + 1))));
    }

    @Test
    void mapsGetLighterWithTheirValues() throws IOException {
        float[] map = new float[64];
        for (int i = 0; i < map.length; i++) {
            map[i] = i / 10f;
        }
        BufferedImage image = ImageIO.read(new ByteArrayInputStream(HeatPicture.png(map, 8, 8)));
        double before = -1;
        for (int i = 0; i < 64; i++) {
            int rgb = image.getRGB(i % 8, i / 8);
            double light = 0.2126 * linear(rgb >> 16) + 0.7152 * linear(rgb >> 8) + 0.0722 * linear(rgb);
            assertTrue(light > before, "value " + i);
            before = light;
        }
        BufferedImage none = ImageIO.read(new ByteArrayInputStream(HeatPicture.png(new float[] {0, Float.NaN, -1, 0}, 2, 2)));
        assertEquals(0x000004, none.getRGB(1, 0) & 0xffffff);
    }

    private static double linear(int level) {
        return Math.pow((level & 0xff) / 255.0, 2.2);
    }

    @Test
    void theCsvReadsBackWhateverTheWords() throws IOException {
        String word = "a, \"b\"\n=1+1</script> \u202e\uD83D\uDE00";
        Attention attention = SampleAttention.of("a", List.of(word), 2, 2, true);
        Path file = folder.resolve("attention.csv");
        AttentionCsv.write(file, attention);
        int entropies = 0;
        double shares = 0;
        try (CsvReader<NamedCsvRecord> csv = CsvReader.builder().ofNamedCsvRecord(file)) {
            for (NamedCsvRecord row : csv) {
                entropies += row.getField("measure").equals("entropy") ? 1 : 0;
                if (row.getField("to").equals("word")) {
                    assertEquals(word, row.getField("word"));
                    assertEquals("image", row.getField("from"));
                }
                if (row.getField("to").equals("image") || row.getField("to").equals("text")) {
                    shares += Double.parseDouble(row.getField("value"));
                }
            }
        }
        assertEquals(attention.cells().size(), entropies);
        assertEquals(attention.cells().size(), shares, 1e-9 * attention.cells().size());
    }

    @Test
    void theJsonHasEveryHeadAndItsSets() {
        Attention attention = SampleAttention.of("a red cube", WORDS, 3, 2, false);
        JsonNode json = JsonMapper.shared().readTree(AttentionJson.json(attention));
        assertEquals("kleinscope.attention/1", json.get("schema").asString());
        assertEquals(25 * 3, json.get("heads").size());
        assertEquals(7, json.get("sets").size());
        double[] mean = attention.means()[24][2][0];
        JsonNode image = json.get("heads").get(74).get("image");
        assertArrayEquals(new double[] {mean[0], mean[1], mean[6]}, new double[] {image.get("entropy").asDouble(),
            image.get("shares").get("image").asDouble(), image.get("shares").get("\"red\"").asDouble()}, 0);
        assertFalse(json.get("heads").get(0).get("prompt").get("shares").has("\"red\""));
    }

    @Test
    void aRunThatLookedAtNothingIsRefused() {
        Attention full = SampleAttention.of("a", WORDS, 1, 1, false);
        Attention empty = new Attention("a", full.tokens(), List.of(), 1, List.of(), List.of(), new WordMaps(2, 0, 1, 2, 2), Map.of());
        assertThrows(IllegalArgumentException.class, () -> AttentionReport.html(empty, null));
    }
}
