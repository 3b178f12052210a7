package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import dev.kleinscope.tensor.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class VaeNamesTest {

    private static final Path DIFFUSERS = Path.of("weights/tiny-klein/vae/diffusion_pytorch_model.safetensors");

    /** Pairs from the conversion in diffusers' {@code convert_flux2_to_diffusers.py}, four blocks a side. */
    @ParameterizedTest
    @CsvSource({
        "encoder.conv_in.weight, encoder.conv_in.weight",
        "encoder.norm_out.bias, encoder.conv_norm_out.bias",
        "decoder.norm_out.weight, decoder.conv_norm_out.weight",
        "encoder.quant_conv.weight, quant_conv.weight",
        "decoder.post_quant_conv.bias, post_quant_conv.bias",
        "bn.running_var, bn.running_var",
        "bn.num_batches_tracked, bn.num_batches_tracked",
        "encoder.down.1.block.0.nin_shortcut.weight, encoder.down_blocks.1.resnets.0.conv_shortcut.weight",
        "encoder.down.2.downsample.conv.bias, encoder.down_blocks.2.downsamplers.0.conv.bias",
        "encoder.down.3.block.1.norm2.weight, encoder.down_blocks.3.resnets.1.norm2.weight",
        "decoder.up.0.block.2.conv1.weight, decoder.up_blocks.3.resnets.2.conv1.weight",
        "decoder.up.3.block.0.norm1.bias, decoder.up_blocks.0.resnets.0.norm1.bias",
        "decoder.up.1.block.0.nin_shortcut.bias, decoder.up_blocks.2.resnets.0.conv_shortcut.bias",
        "decoder.up.3.upsample.conv.weight, decoder.up_blocks.0.upsamplers.0.conv.weight",
        "encoder.mid.block_1.conv2.weight, encoder.mid_block.resnets.0.conv2.weight",
        "decoder.mid.block_2.norm1.weight, decoder.mid_block.resnets.1.norm1.weight",
        "decoder.mid.attn_1.norm.weight, decoder.mid_block.attentions.0.group_norm.weight",
        "decoder.mid.attn_1.q.weight, decoder.mid_block.attentions.0.to_q.weight",
        "encoder.mid.attn_1.k.bias, encoder.mid_block.attentions.0.to_k.bias",
        "encoder.mid.attn_1.v.weight, encoder.mid_block.attentions.0.to_v.weight",
        "encoder.mid.attn_1.proj_out.bias, encoder.mid_block.attentions.0.to_out.0.bias",
        "decoder.mid.block_3.norm1.weight, decoder.mid.block_3.norm1.weight",
        "something.else, something.else"})
    void everyNameHasItsCounterpart(String bfl, String diffusers) {
        assertEquals(diffusers, VaeNames.diffusers(bfl, 4));
    }

    @Test
    void diffusersNamesStayAsTheyAre() {
        try (WeightSource source = Safetensors.open(DIFFUSERS)) {
            assertSame(source, VaeNames.diffusers(source));
        }
    }

    @Test
    void aModelUnderTheOtherNamesShowsTheSameTensors() {
        try (WeightSource expected = Safetensors.open(DIFFUSERS);
                WeightSource actual = VaeNames.diffusers(new OtherNames(Safetensors.open(DIFFUSERS)))) {
            assertEquals(new TreeSet<>(expected.names()), new TreeSet<>(actual.names()));
            for (String name : expected.names()) {
                Tensor tensor = actual.tensor(name);
                assertEquals(expected.tensor(name).shape(), tensor.shape(), name);
                assertArrayEquals(expected.tensor(name).toHost().values(), tensor.toHost().values(), name);
            }
        }
    }

    /** Black Forest Labs' names for diffusers' file: the attention's linear layers become 1x1 convolutions. */
    private static final class OtherNames implements WeightSource {

        private final WeightSource inner;
        private final Map<String, String> names = new LinkedHashMap<>();

        OtherNames(WeightSource inner) {
            this.inner = inner;
            inner.names().forEach(name -> names.put(bfl(name), name));
        }

        private static String bfl(String name) {
            String result = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
                    .replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
                    .replace("mid_block.attentions.0.group_norm", "mid.attn_1.norm")
                    .replace("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out")
                    .replace("mid_block.attentions.0.to_", "mid.attn_1.").replace("down_blocks", "down").replace("resnets", "block")
                    .replace("downsamplers.0", "downsample").replace("upsamplers.0", "upsample")
                    .replaceFirst("^quant_conv", "encoder.quant_conv").replaceFirst("^post_quant_conv", "decoder.post_quant_conv");
            for (int block = 0; block < 4; block++) {
                result = result.replace("up_blocks." + block, "up." + (3 - block));
            }
            return result;
        }

        @Override
        public Set<String> names() {
            return names.keySet();
        }

        @Override
        public Tensor tensor(String name) {
            Tensor tensor = inner.tensor(names.get(name));
            boolean convolution = name.contains(".attn_1.") && name.endsWith("weight") && !name.contains("norm");
            return (convolution ? tensor.reshape(tensor.dim(0), tensor.dim(1), 1, 1) : tensor).named(name);
        }

        @Override
        public Path file(String name) {
            return inner.file(names.get(name));
        }

        @Override
        public String describe() {
            return inner.describe();
        }

        @Override
        public List<Path> files() {
            return inner.files();
        }

        @Override
        public String headerHash() {
            return inner.headerHash();
        }

        @Override
        public void close() {
            inner.close();
        }
    }
}
