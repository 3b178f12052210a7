package dev.kleinscope.model.dit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.weights.ModelException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.ObjectMapper;

class DitConfigTest {

    private static DitConfig from(String json) {
        return DitConfig.from(new ObjectMapper().readTree(json.replace('\'', '"')));
    }

    @Test
    void absentEntriesTakeDiffusersDefaults() {
        assertEquals(new DitConfig(128, 128, 8, 48, 128, 48, 15360, 256, 18432, List.of(32, 32, 32, 32), 2000, 1e-6, true), from("{}"));
        assertEquals(from("{}"), from("{'out_channels': null, 'eps': null, 'num_layers': null}"));
    }

    @Test
    void aFractionalMlpRatioIsTruncatedAsInPython() {
        assertEquals(129, from("{'num_attention_heads': 3, 'attention_head_dim': 16, 'axes_dims_rope': [4, 4, 4, 4], 'mlp_ratio': 2.7}")
                .mlpHidden());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "{'out_channels': 1e308} | out_channels: expected a whole number from 1 to 16777216, found 1.0E308",
        "{'out_channels': 1000000000000000000000000000000} | out_channels: expected a whole number",
        "{'in_channels': '128'} | in_channels: expected a whole number",
        "{'num_layers': -1} | num_layers: expected a whole number from 0 to 4096, found -1",
        "{'attention_head_dim': 0} | attention_head_dim: expected a whole number",
        "{'axes_dims_rope': 32} | axes_dims_rope: expected a list",
        "{'axes_dims_rope': [32, 32, 32]} | add up to attention_head_dim 128",
        "{'eps': 'x'} | eps: expected a number from 0.0 to 1.0",
        "{'rope_theta': 0} | rope_theta: expected a number from 1.0",
        "{'mlp_ratio': -3} | mlp_ratio: expected a number above 0",
        "{'guidance_embeds': 1} | guidance_embeds: expected true or false",
        "{'patch_size': 2} | patch_size 2 is not supported"})
    void whatCannotBeIsNamed(String json, String part) {
        String message = assertThrows(ModelException.class, () -> from(json)).getMessage();
        assertTrue(message.contains("transformer configuration: ") && message.contains(part), message);
    }
}
