package dev.kleinscope.model.vae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.WeightSource;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.ObjectMapper;

class VaeConfigTest {

    private static VaeConfig from(String json) {
        return VaeConfig.from(new ObjectMapper().readTree(json));
    }

    @Test
    void absentEntriesTakeDiffusersDefaults() {
        VaeConfig config = from("{}");
        assertEquals(new VaeConfig(3, 3, 32, List.of(128, 256, 512, 512), List.of(128, 256, 512, 512), 2, 32, true, true, true, 1e-4),
                config);
        assertEquals(8, config.scale());
        assertEquals(128, config.tokenChannels());
    }

    @Test
    void theDecoderMayHaveWidthsOfItsOwn() {
        VaeConfig config = from("{\"block_out_channels\": [32, 64], \"decoder_block_out_channels\": [96, 64], \"use_quant_conv\": false}");
        assertEquals(List.of(32, 64), config.encoderChannels());
        assertEquals(List.of(96, 64), config.decoderChannels());
        assertEquals(false, config.quantConv());
        assertEquals(2, config.scale());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "{'block_out_channels': [16, 24]} | multiples of norm_num_groups 32",
        "{'block_out_channels': []} | block_out_channels: expected a list of one to 8 whole numbers, found []",
        "{'block_out_channels': [-32]} | block_out_channels: expected a whole number from 1 to 16777216",
        "{'block_out_channels': ['x']} | block_out_channels: expected a whole number",
        "{'block_out_channels': 32} | block_out_channels: expected a list",
        "{'decoder_block_out_channels': [32]} | must be equally many",
        "{'layers_per_block': 0} | layers_per_block: expected a whole number from 1 to 64, found 0",
        "{'norm_num_groups': 0} | norm_num_groups: expected a whole number from 1 to 65536, found 0",
        "{'latent_channels': 4294967296} | latent_channels: expected a whole number from 1 to 65536, found 4294967296",
        "{'latent_channels': 1e308} | latent_channels: expected a whole number",
        "{'use_quant_conv': 'yes'} | use_quant_conv: expected true or false",
        "{'act_fn': 'relu'} | act_fn",
        "{'patch_size': [1, 1]} | patch_size",
        "{'down_block_types': ['AttnDownBlock2D']} | down_block_types",
        "{'batch_norm_eps': -1} | batch_norm_eps"})
    void whatCannotBeIsNamed(String json, String part) {
        String message = assertThrows(ModelException.class, () -> from(json.replace('\'', '"'))).getMessage();
        assertTrue(message.contains(part), message);
    }

    @Test
    void widthsReadOffTheWeightsMustFitThirtyTwoGroups() {
        Path file = Path.of("src/test/resources/reference/vae-decoder-widths/diffusion_pytorch_model.safetensors");
        try (WeightSource weights = Safetensors.open(file)) {
            String message = assertThrows(ModelException.class, () -> VaeConfig.infer(weights)).getMessage();
            assertTrue(message.contains("block_out_channels [8, 12, 16, 16]") && message.contains("norm_num_groups 32"), message);
        }
    }

    @Test
    void pointsAreThoseOfTheConfiguration() {
        VaeConfig config = from("{\"use_post_quant_conv\": false, \"mid_block_add_attention\": false}");
        List<String> names = VaePoints.decoder(config).stream().map(point -> point.name() + " " + point.shape()).toList();
        assertEquals(List.of("decoder.conv_in [B, h, w, 512]", "decoder.mid_block.resnets.0 [B, h, w, 512]",
                "decoder.mid_block [B, h, w, 512]", "decoder.up_blocks.0 [B, 2 h, 2 w, 512]", "decoder.up_blocks.1 [B, 4 h, 4 w, 512]",
                "decoder.up_blocks.2 [B, 8 h, 8 w, 256]", "decoder.up_blocks.3 [B, 8 h, 8 w, 128]",
                "decoder.conv_norm_out [B, 8 h, 8 w, 128]", "decoder.conv_out [B, 8 h, 8 w, 3]"), names);
        assertEquals("encoder.down_blocks.0 [B, 4 h, 4 w, 128]", VaePoints.encoder(config).stream()
                .filter(point -> point.name().endsWith("down_blocks.0")).map(point -> point.name() + " " + point.shape()).findFirst().get());
    }
}
