package dev.kleinscope.model.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.WeightSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.ObjectMapper;

class Qwen3ConfigTest {

    private static final String SIZES = "'model_type': 'qwen3', 'hidden_size': 64, 'num_hidden_layers': 28, 'num_attention_heads': 4, "
            + "'intermediate_size': 192, 'vocab_size': 577";

    @TempDir
    private Path folder;

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

    private Path weights(Map<String, List<Integer>> shapes) throws IOException {
        StringBuilder header = new StringBuilder("{");
        int end = 0;
        for (Map.Entry<String, List<Integer>> entry : shapes.entrySet()) {
            int bytes = 2 * entry.getValue().stream().reduce(1, (a, b) -> a * b);
            header.append(end == 0 && header.length() == 1 ? "" : ",").append("\"").append(entry.getKey()).append("\":{\"dtype\":\"BF16\",\"shape\":")
                    .append(entry.getValue()).append(",\"data_offsets\":[").append(end).append(",").append(end + bytes).append("]}");
            end += bytes;
        }
        byte[] json = header.append("}").toString().getBytes(StandardCharsets.UTF_8);
        ByteBuffer file = ByteBuffer.allocate(8 + json.length + end).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json);
        return Files.write(folder.resolve("model.safetensors"), file.array());
    }

    private static Map<String, List<Integer>> shapes() {
        Map<String, List<Integer>> shapes = new LinkedHashMap<>();
        shapes.put("model.embed_tokens.weight", List.of(577, 64));
        shapes.put("model.layers.0.input_layernorm.weight", List.of(64));
        shapes.put("model.layers.0.self_attn.q_norm.weight", List.of(16));
        shapes.put("model.layers.0.self_attn.q_proj.weight", List.of(64, 64));
        shapes.put("model.layers.0.self_attn.k_proj.weight", List.of(32, 64));
        shapes.put("model.layers.0.mlp.down_proj.weight", List.of(64, 192));
        return shapes;
    }

    @Test
    void sizesAreReadOffTheWeights() throws IOException {
        try (WeightSource weights = Safetensors.open(weights(shapes()))) {
            assertEquals(new Qwen3Config(64, 1, 4, 2, 16, 192, 577, 1e6, 1e-6), Qwen3Config.infer(weights));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"embed_tokens", "layers.0.self_attn.q_norm", "layers.0.self_attn.q_proj", "layers.0.self_attn.k_proj",
        "layers.0.mlp.down_proj"})
    void weightsThatAreMissingOrOfAnotherShapeAreNamed(String tensor) throws IOException {
        String name = "model." + tensor + ".weight";
        for (List<Integer> wrong : Arrays.asList(null, List.<Integer>of(), List.of(2, 2, 2), List.of(0))) {
            Map<String, List<Integer>> shapes = shapes();
            if (wrong == null) {
                shapes.remove(name);
            } else {
                shapes.put(name, wrong);
            }
            try (WeightSource weights = Safetensors.open(weights(shapes))) {
                String message = assertThrows(ModelException.class, () -> Qwen3Config.infer(weights)).getMessage();
                assertTrue(message.contains(tensor) || message.contains("a size is 0"), message);
            }
        }
    }
}
