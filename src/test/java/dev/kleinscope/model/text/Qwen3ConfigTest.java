package dev.kleinscope.model.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.weights.ModelException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.ObjectMapper;

class Qwen3ConfigTest {

    private static final String SIZES = "'model_type': 'qwen3', 'hidden_size': 64, 'num_hidden_layers': 28, 'num_attention_heads': 4, "
            + "'intermediate_size': 192, 'vocab_size': 577";

    private static Qwen3Config from(String entries) {
        return Qwen3Config.from(new ObjectMapper().readTree(("{" + entries + "}").replace('\'', '"')));
    }

    @Test
    void theRopeBaseStandsWhereEitherVersionOfTransformersPutsIt() {
        assertEquals(1e6, from(SIZES + ", 'rope_theta': 1000000").ropeTheta());
        assertEquals(1e6, from(SIZES + ", 'rope_parameters': {'rope_theta': 1000000.0, 'rope_type': 'default'}").ropeTheta());
        assertEquals(1e6, from(SIZES + ", 'rope_theta': null, 'rope_parameters': {'rope_theta': 1e6}").ropeTheta());
        assertEquals(new Qwen3Config(64, 28, 4, 4, 128, 192, 577, 10000, 1e-6), from(SIZES));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "'vocab_size': 1000000000000000000000000000000 | vocab_size: expected a whole number from 1 to 16777216",
        "'num_attention_heads': 1e308 | num_attention_heads: expected a whole number",
        "'num_hidden_layers': 4294967324 | num_hidden_layers: expected a whole number from 1 to 4096, found 4294967324",
        "'hidden_size': null | hidden_size: expected a whole number",
        "'head_dim': '16' | head_dim: expected a whole number",
        "'num_key_value_heads': 3 | key heads that divide the heads",
        "'rope_theta': 'x' | rope_theta: expected a number",
        "'rope_parameters': {'rope_theta': -1} | rope_theta: expected a number",
        "'rms_norm_eps': 'x' | rms_norm_eps: expected a number from 0.0 to 1.0",
        "'attention_bias': true | attention_bias and use_sliding_window are not supported"})
    void whatCannotBeIsNamed(String entry, String part) {
        String name = entry.substring(0, entry.indexOf(':'));
        String rest = SIZES.replaceAll(name + ": [0-9]+(, )?", "");
        String message = assertThrows(ModelException.class, () -> from(rest + (rest.endsWith(", ") ? "" : ", ") + entry)).getMessage();
        assertTrue(message.contains("text encoder configuration: ") && message.contains(part), message);
    }
}
