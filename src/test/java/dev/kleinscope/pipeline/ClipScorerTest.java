package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.ModelFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class ClipScorerTest {

    private static final String PREPROCESSOR = "preprocessor_config.json";

    private final Ops ops = new ReferenceOps();

    @TempDir
    private Path folder;

    @AfterEach
    void close() {
        ops.close();
    }

    private static ModelFiles bundled() {
        return ModelFiles.resolve(ClipFolder.BUNDLED.toString());
    }

    private static Image8 image(int index) {
        return ImageFile.read(Resources.path("reference/cases/image-" + index + ".png"));
    }

    @Test
    void scoresAreThoseOfTransformers() {
        JsonNode metrics = Resources.json("reference/cases/image-metrics.json");
        assertEquals(4, metrics.size());
        try (ClipScorer scorer = ClipScorer.open(bundled(), ops)) {
            for (JsonNode c : metrics) {
                Image8 image = ImageFile.read(Resources.path("reference/cases/" + c.get("image").asString()));
                String text = c.get("text").asString();
                double expected = c.get("clip_score").asDouble();
                assertEquals(expected, scorer.score(image, text), 1e-4);
                assertEquals(99.484 * expected / 100, scorer.logitsPerImage(image, text), 1e-3);
            }
        }
    }

    @Test
    void aTextIsEmbeddedOnce() {
        try (ClipScorer scorer = ClipScorer.open(bundled(), ops)) {
            assertSame(scorer.textEmbeds("a red circle"), scorer.textEmbeds("a red circle"));
        }
    }

    @Test
    void aNegativeCosineScoresZero() {
        assertEquals(0, ClipScorer.score(-0.3));
        assertEquals(25, ClipScorer.score(0.25));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "{\"size\": {\"shortest_edge\": 56}, \"crop_size\": {\"height\": 56, \"width\": 56}}",
        "{\"size\": 56, \"crop_size\": 56, \"feature_extractor_type\": \"CLIPFeatureExtractor\", \"resample\": 3}",
        "{\"size\": 56, \"crop_size\": 56, \"resample\": null, \"do_resize\": true, \"image_processor_type\": \"CLIPImageProcessorFast\"}"})
    void whatThePreprocessorLeavesOutHasTheDefaultsOfTransformers(String json) {
        ClipFolder copy = new ClipFolder(folder).write(PREPROCESSOR, json);
        try (ClipScorer scorer = new ClipScorer(copy.files(), ops); ClipScorer expected = new ClipScorer(bundled(), ops)) {
            assertArrayEquals(expected.pixels().pixelValues(image(0)).values(), scorer.pixels().pixelValues(image(0)).values());
        }
    }

    @Test
    void anEmptyPreprocessorIsThatOfVitB32() {
        ClipFolder copy = new ClipFolder(folder).write(PREPROCESSOR, "{}").replace("config.json", "\"image_size\": 56", "\"image_size\": 224");
        try (ClipScorer scorer = new ClipScorer(copy.files(), ops)) {
            assertEquals(224, scorer.pixels().shortestEdge());
        }
    }

    @Test
    void aNewerProcessorFileHoldsThePreprocessor() throws IOException {
        ClipFolder copy = new ClipFolder(folder);
        String older = Files.readString(folder.resolve(PREPROCESSOR));
        copy.delete(PREPROCESSOR).write("processor_config.json", "{\"image_processor\": " + older + ", \"processor_class\": \"CLIPProcessor\"}");
        try (ClipScorer scorer = ClipScorer.open(copy.files(), ops)) {
            assertTrue(scorer.hasPixels());
            assertEquals(56, scorer.pixels().cropWidth());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "\"resample\": 3|\"resample\": 2|resample: expected 3, bicubic, found 2",
        "\"do_center_crop\": true|\"do_center_crop\": false|do_center_crop: expected true, found false",
        "\"do_normalize\": true|\"do_normalize\": 1|do_normalize: expected true, found 1",
        "\"shortest_edge\": 56|\"longest_edge\": 56|size: expected {\"shortest_edge\": pixels}",
        "\"shortest_edge\": 56|\"shortest_edge\": 0|size.shortest_edge: expected a number of pixels, found 0",
        "\"height\": 56|\"height\": null|crop_size.height: expected a number of pixels, found null",
        "\"height\": 56|\"height\": 64|crops to 56x64, the model takes 56x56",
        "0.00392156862745098|1|rescale_factor: expected 1/255, found 1",
        "0.40821073|\"x\"|image_mean: expected three numbers",
        "0.27577711|0|image_std must not contain zero",
        "CLIPImageProcessor|ViTImageProcessor|image_processor_type: expected CLIPImageProcessor, found \"ViTImageProcessor\""})
    void anUnsupportedPreprocessorIsNamed(String from, String to, String message) {
        refused(new ClipFolder(folder).replace(PREPROCESSOR, from, to), message);
    }

    @Test
    void aFolderThatLacksAFileSaysWhich() {
        refused(new ClipFolder(folder).delete(PREPROCESSOR), "no preprocessor_config.json");
        refused(new ClipFolder(folder).delete("tokenizer.json"), "no tokenizer here");
        refused(new ClipFolder(folder).delete("model.safetensors"), "no weights, expected model.safetensors");
        try (ClipScorer weightsAlone = new ClipScorer(
                ModelFiles.resolve(ClipFolder.BUNDLED.resolve("model.safetensors").toString()), ops)) {
            ModelException error = assertThrows(ModelException.class, weightsAlone::clip);
            assertTrue(error.getMessage().contains("CLIP needs the config.json beside its weights"), error.getMessage());
        }
        ModelException notClip = assertThrows(ModelException.class,
                () -> ClipScorer.open(ModelFiles.resolve("weights/tiny-klein"), ops));
        assertTrue(notClip.getMessage().contains("no clip here"), notClip.getMessage());
    }

    @Test
    void aTokenizerOfAnotherModelIsRefused() {
        ClipFolder copy = new ClipFolder(folder).replace("config.json", "\"eos_token_id\": 2", "\"eos_token_id\": 599");
        try (ClipScorer scorer = ClipScorer.open(copy.files(), ops)) {
            ModelException error = assertThrows(ModelException.class, () -> scorer.score(image(0), "a red circle"));
            assertTrue(error.getMessage().contains("tokenizer and CLIP model do not belong together"), error.getMessage());
        }
    }

    @Test
    void damagedWeightsGiveNoScore() throws IOException {
        ClipFolder copy = new ClipFolder(folder);
        byte[] bytes = Files.readAllBytes(folder.resolve("model.safetensors"));
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int header = (int) buffer.getLong(0);
        JsonNode entry = new ObjectMapper()
                .readTree(new String(bytes, 8, header, StandardCharsets.UTF_8)).get("visual_projection.weight");
        buffer.putFloat(8 + header + entry.get("data_offsets").get(0).asInt(), Float.NaN);
        Files.write(folder.resolve("model.safetensors"), bytes);
        try (ClipScorer scorer = ClipScorer.open(copy.files(), ops)) {
            ModelException error = assertThrows(ModelException.class, () -> scorer.score(image(0), "a red circle"));
            assertTrue(error.getMessage().contains("no finite vector for image"), error.getMessage());
        }
    }

    private void refused(ClipFolder copy, String message) {
        ModelException error = assertThrows(ModelException.class, () -> ClipScorer.open(copy.files(), ops));
        assertTrue(error.getMessage().contains(message), error.getMessage());
    }
}
