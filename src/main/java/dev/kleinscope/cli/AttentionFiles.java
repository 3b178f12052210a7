package dev.kleinscope.cli;

import dev.kleinscope.analysis.Attention;
import dev.kleinscope.analysis.TokenSets;
import dev.kleinscope.analysis.WordMaps;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.report.AttentionCsv;
import dev.kleinscope.report.AttentionJson;
import dev.kleinscope.report.AttentionReport;
import dev.kleinscope.report.Thumbnail;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.SafetensorsWriter;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the attention command leaves.
 *
 * @param folder where
 */
record AttentionFiles(Path folder) {

    static final String CSV = "attention.csv";
    static final String MAPS = "attention-maps.safetensors";

    /** @param picture null if none was decoded */
    void write(Attention attention, Image8 picture) {
        if (picture != null) {
            ImageFile.writePng(folder.resolve("attention.png"), picture, Map.of("Software", Version.summary(), "prompt", attention.prompt()));
        }
        AttentionCsv.write(folder.resolve(CSV), attention);
        writeMaps(attention);
        AttentionJson.write(folder.resolve("attention.json"), attention);
        AttentionReport.write(folder.resolve("attention.html"), attention, picture == null ? null : Thumbnail.png(SweepPictures.buffered(picture)));
    }

    /** {@code map.N} [blocks, heads, height, width] for the Nth word, from 0; the metadata tells words and blocks. */
    private void writeMaps(Attention attention) {
        TokenSets sets = attention.sets();
        WordMaps maps = attention.maps();
        Shape shape = Shape.of(attention.blocks().size(), attention.heads(), maps.height(), maps.width());
        List<Declaration> declarations = new ArrayList<>();
        Map<String, String> metadata = new LinkedHashMap<>();
        for (int word = 0; word < sets.words().size(); word++) {
            declarations.add(new Declaration("map." + word, DType.F32, shape));
            metadata.put("word." + word, sets.sets().get(sets.words().get(word)).word());
        }
        metadata.put("kind", "attention-maps");
        metadata.put("prompt", attention.prompt());
        metadata.put("blocks", String.join(",", attention.blocks()));
        metadata.put("steps", String.join(",", attention.steps().stream().map(String::valueOf).toList()));
        metadata.put("kleinscope", Version.summary());
        try (SafetensorsWriter writer = SafetensorsWriter.create(folder.resolve(MAPS), declarations, metadata)) {
            for (int word = 0; word < declarations.size(); word++) {
                for (int block = 0; block < attention.blocks().size(); block++) {
                    for (int head = 0; head < attention.heads(); head++) {
                        writer.write("map." + word, maps.of(word, block, head));
                    }
                }
            }
            writer.commit();
        }
    }
}
