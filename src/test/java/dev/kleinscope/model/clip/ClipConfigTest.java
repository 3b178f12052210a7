package dev.kleinscope.model.clip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.ops.Gelu;
import dev.kleinscope.weights.ModelException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.ObjectMapper;

class ClipConfigTest {

    private static ClipConfig read(String json) {
        return ClipConfig.from(new ObjectMapper().readTree(json));
    }

    private static final ClipConfig VIT_B_32 = new ClipConfig(new ClipConfig.Tower(512, 12, 8, 2048, Gelu.QUICK, 1e-5),
            49408, 77, 49407, new ClipConfig.Tower(768, 12, 12, 3072, Gelu.QUICK, 1e-5), 224, 32, 512);

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"text_config\":null,\"vision_config\":{}}", "{\"text_config\":{\"hidden_size\":null}}"})
    void anEmptyConfigurationIsThatOfVitB32(String json) {
        assertEquals(VIT_B_32, read(json));
    }

    @Test
    void theOlderDictionaryOverrulesAllThatStandsBesideIt() {
        ClipConfig config = read("{\"text_config\":{\"hidden_size\":64,\"num_attention_heads\":4,\"vocab_size\":9},"
                + "\"text_config_dict\":{\"hidden_size\":128},\"vision_config\":{\"patch_size\":16},\"vision_config_dict\":null}");
        assertEquals(new ClipConfig.Tower(128, 12, 8, 2048, Gelu.QUICK, 1e-5), config.text());
        assertEquals(49408, config.vocabulary());
        assertEquals(16, config.patchSize());
    }

    @ParameterizedTest
    @CsvSource({"quick_gelu,QUICK", "gelu,ERF", "gelu_new,TANH"})
    void activationsAreReadPerTower(String name, Gelu expected) {
        ClipConfig config = read("{\"text_config\":{\"hidden_act\":\"" + name + "\"}}");
        assertEquals(expected, config.text().act());
        assertEquals(Gelu.QUICK, config.vision().act());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "{\"text_config\":{\"hidden_act\":\"relu\"}}|text_config.hidden_act: expected gelu, quick_gelu or gelu_new, found \"relu\"",
        "{\"text_config\":{\"hidden_act\":7}}|text_config.hidden_act: expected gelu, quick_gelu or gelu_new, found 7",
        "{\"text_config\":[]}|text_config: expected an object, found []",
        "{\"vision_config\":{\"num_channels\":4}}|num_channels is 4; expected 3, for RGB",
        "{\"vision_config\":{\"hidden_size\":-8}}|vision_config.hidden_size: expected a whole number from 1 to 16777216, found -8",
        "{\"vision_config\":{\"hidden_size\":1e99}}|vision_config.hidden_size: expected a whole number",
        "{\"vision_config\":{\"num_attention_heads\":7}}|7 heads do not divide a hidden size of 768",
        "{\"vision_config\":{\"patch_size\":225}}|patch_size is 225; expected at most image_size, 224",
        "{\"vision_config\":{\"image_size\":100000}}|vision_config.image_size: expected a whole number from 1 to 4096",
        "{\"vision_config\":{\"layer_norm_eps\":\"x\"}}|vision_config.layer_norm_eps: expected a number from 0 to 1, found \"x\"",
        "{\"text_config\":{\"eos_token_id\":[2]}}|text_config.eos_token_id: expected a token id, found [2]",
        "{\"projection_dim\":0}|projection_dim: expected a whole number from 1 to 16777216, found 0"})
    void anEntryThatCannotBeUsedIsNamed(String json, String message) {
        ModelException error = assertThrows(ModelException.class, () -> read(json));
        assertTrue(error.getMessage().contains(message), error.getMessage());
    }
}
