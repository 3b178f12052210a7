package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class ModelLayoutTest {

    private static final Path TINY = Path.of("weights/tiny-klein");

    @TempDir
    Path folder;

    private static ObjectNode tiny(String component) {
        return (ObjectNode) JsonFile.read(TINY.resolve(component).resolve("config.json"));
    }

    @ParameterizedTest
    @EnumSource(names = {"TRANSFORMER", "TEXT_ENCODER", "VAE"})
    void namesTypesAndShapesAreThoseOfTheBundledFiles(ComponentKind kind) {
        Map<String, String> expected = new TreeMap<>();
        try (WeightSource source = ModelFiles.resolve(TINY.toString()).component(kind).open()) {
            source.names().forEach(name -> expected.put(name, source.tensor(name).dtype() + " " + source.tensor(name).shape()));
        }
        Map<String, String> declared = new TreeMap<>();
        List<Declaration> layout = ModelLayout.of(kind, tiny(kind.folder()));
        layout.forEach(declaration -> declared.put(declaration.name(), declaration.dtype() + " " + declaration.shape()));
        assertEquals(expected, declared);
        assertEquals(layout.size(), declared.size(), "a name is declared twice");
    }

    @ParameterizedTest
    @CsvSource({"TRANSFORMER,169,3875544576", "TEXT_ENCODER,398,4022468096", "VAE,251,84046372"})
    void klein4bHasItsSize(ComponentKind kind, int tensors, long parameters) {
        List<Declaration> layout = ModelBlueprint.klein4b().layout(kind);
        assertEquals(tensors, layout.size());
        assertEquals(parameters, layout.stream().mapToLong(declaration -> declaration.shape().elements()).sum());
    }

    @Test
    void theTextEncoderOfKlein4bComesInTwoShards() {
        assertEquals(2, RandomModel.shards(ModelBlueprint.klein4b().layout(ComponentKind.TEXT_ENCODER), 5_000_000_000L).size());
    }

    @Test
    void optionalPartsFollowTheConfiguration() {
        assertEquals(169 + 2, ModelLayout.transformer(tiny("transformer").put("guidance_embeds", true)).size());
        assertEquals(169 + 2, ModelLayout.transformer(tiny("transformer").without(List.of("guidance_embeds"))).size());
        assertEquals("[64, 577]", transposed(ModelLayout.textEncoder(tiny("text_encoder").put("tie_word_embeddings", false)).getLast()));
        List<Declaration> vae = ModelLayout.vae(tiny("vae").put("use_quant_conv", false).put("use_post_quant_conv", false)
                .put("mid_block_add_attention", false));
        assertEquals(247 - 4 - 20, vae.size());
    }

    private static String transposed(Declaration declaration) {
        return List.of(declaration.shape().dim(1), declaration.shape().dim(0)).toString();
    }

    @Test
    void aDecoderMayBeWiderThanTheEncoder() {
        ObjectNode config = tiny("vae");
        config.putArray("decoder_block_out_channels").add(24).add(32).add(32).add(40);
        List<Declaration> layout = ModelLayout.vae(config);
        assertEquals("[40, 4, 3, 3]", shape(layout, "decoder.conv_in.weight"));
        assertEquals("[32, 40, 1, 1]", shape(layout, "decoder.up_blocks.1.resnets.0.conv_shortcut.weight"));
        assertEquals("[3, 24, 3, 3]", shape(layout, "decoder.conv_out.weight"));
        assertEquals("[16, 3, 3, 3]", shape(layout, "encoder.conv_in.weight"));
    }

    private static String shape(List<Declaration> layout, String name) {
        return layout.stream().filter(declaration -> declaration.name().equals(name)).findFirst().orElseThrow().shape().toString();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "transformer | in_channels | null | in_channels: expected a whole number from 1 to 16777216, found null",
        "transformer | num_layers | -1 | num_layers: expected a whole number from 0 to 4096, found -1",
        "transformer | num_layers | 1e30 | num_layers: expected a whole number",
        "transformer | attention_head_dim | 32.5 | attention_head_dim: expected a whole number",
        "transformer | attention_head_dim | 10000000 | widths of 20000000",
        "transformer | mlp_ratio | 0 | mlp_ratio: expected a number above 0, found 0",
        "transformer | patch_size | 2 | patch_size: expected a whole number from 1 to 1",
        "transformer | guidance_embeds | 1 | guidance_embeds: expected true or false, found 1",
        "text_encoder | vocab_size | 99999999999999999999999 | vocab_size: expected a whole number",
        "text_encoder | num_hidden_layers | 0 | num_hidden_layers: expected a whole number from 1 to 4096, found 0",
        "text_encoder | num_attention_heads | 16777216 | the heads are 268435456 wide",
        "vae | block_out_channels | [16, 31] | [16, 31] are no multiples of norm_num_groups 8",
        "vae | block_out_channels | [] | block_out_channels: expected a list of one to 16 whole numbers, found []",
        "vae | layers_per_block | 1000 | layers_per_block: expected a whole number from 1 to 64",
    })
    void aWrongSizeIsNamed(String component, String key, String value, String message) throws IOException {
        ObjectNode config = tiny(component);
        config.set(key, JsonMapper.shared().readTree(value));
        Path file = Files.writeString(folder.resolve("sizes.json"), "{\"" + component + "\": " + config + "}");
        ModelException e = assertThrows(ModelException.class, () -> ModelBlueprint.read(file));
        assertTrue(e.getMessage().contains(message), e.getMessage());
        assertTrue(e.getMessage().startsWith(file + ": "), e.getMessage());
    }

    @Test
    void aMissingSizeIsNamed() {
        JsonNode config = tiny("transformer").without(List.of("num_layers"));
        ModelException e = assertThrows(ModelException.class, () -> ModelLayout.transformer(config));
        assertTrue(e.getMessage().contains("num_layers: expected a whole number from 0 to 4096, found no such entry"), e.getMessage());
    }

    @Test
    void moreBytesThanALongCountsAreRefused() throws IOException {
        ObjectNode config = tiny("transformer").put("attention_head_dim", 1 << 12)
                .put("num_attention_heads", 1 << 12).put("mlp_ratio", 0.5).put("num_layers", 4000);
        Path file = Files.writeString(folder.resolve("config.json"), config.toString());
        ModelException e = assertThrows(ModelException.class, () -> ModelBlueprint.read(file));
        assertTrue(e.getMessage().contains("more bytes than can be counted"), e.getMessage());
    }

    @Test
    void componentsThatDoNotFitTogetherAreRefused() throws IOException {
        Path file = Files.writeString(folder.resolve("sizes.json"), "{\"transformer\": "
                + tiny("transformer").put("joint_attention_dim", 100) + ", \"text_encoder\": " + tiny("text_encoder") + "}");
        ModelException e = assertThrows(ModelException.class, () -> ModelBlueprint.read(file));
        assertTrue(e.getMessage().contains("joint_attention_dim: expected 192, 3 times the text_encoder's hidden_size, found 100"),
                e.getMessage());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "{\"width\": 3} | expected an object with transformer, text_encoder or vae",
        "{\"model_type\": \"clip\"} | is the configuration of a clip",
        "{\"transformer\": 3} | transformer: expected an object as in config.json, found 3",
        "{\"vae\": {\"_class_name\": \"Flux2Transformer2DModel\"}} | vae: is the configuration of a transformer",
        "{\"vae\": {}, \"unet\": {}} | unet: expected one of [transformer, text_encoder, vae]",
    })
    void whatIsNoConfigurationIsRefused(String json, String message) throws IOException {
        Path file = Files.writeString(folder.resolve("sizes.json"), json);
        ModelException e = assertThrows(ModelException.class, () -> ModelBlueprint.read(file));
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }
}
