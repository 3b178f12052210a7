package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.PositionIds;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelFiles;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class SynthCommandTest {

    private static final String SIZES = """
            {"transformer": {"attention_head_dim": 16, "axes_dims_rope": [4, 4, 4, 4], "guidance_embeds": false, "in_channels": 16,
                             "joint_attention_dim": 48, "num_attention_heads": 2, "num_layers": 1, "num_single_layers": 2},
             "text_encoder": {"hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 1,
                              "head_dim": 8, "intermediate_size": 32, "vocab_size": 577, "tie_word_embeddings": true,
                              "rope_theta": 1000000},
             "vae": {"block_out_channels": [8, 16], "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1,
                     "norm_num_groups": 4}}
            """;

    @TempDir
    Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int synth(String sizes, String... more) throws IOException {
        Path config = Files.writeString(folder.resolve("sizes.json"), sizes);
        String[] args = new String[5 + more.length];
        System.arraycopy(new String[] {"synth", "--config", config.toString(), "--out", folder.resolve("model").toString()}, 0, args, 0, 5);
        System.arraycopy(more, 0, args, 5, more.length);
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), args);
    }

    @Test
    void whatIsWrittenRunsFromThePromptToTheVelocity() throws IOException {
        assertEquals(ExitCodes.OK, synth(SIZES.replace("LAYERS", "28")), err.toString());
        ModelFiles files = ModelFiles.resolve(folder.resolve("model").toString());
        EnumSet<ComponentKind> all = EnumSet.allOf(ComponentKind.class);
        all.remove(ComponentKind.CLIP);
        assertEquals(all, files.kinds());
        try (Ops ops = new ReferenceOps(); Klein klein = new Klein(files, ops); Frame _ = ops.frame()) {
            HostTensor prompt = klein.encode(klein.tokenizer().prompt("a red barn", 24));
            assertFinite(prompt);
            Dit dit = klein.dit();
            float[] latents = new float[4 * 16];
            for (int i = 0; i < latents.length; i++) {
                latents[i] = (float) Math.sin(i);
            }
            PositionIds txt = PositionIds.text(24);
            PositionIds img = PositionIds.image(2, 2);
            assertFinite(dit.forward(ops, ops.input(HostTensor.of("latents", latents, 1, 4, 16)), ops.input(prompt), new float[] {1f}, null,
                    txt, img, dit.rope(ops, txt, img), Probes.NONE).toHost());
        }
    }

    private static void assertFinite(HostTensor tensor) {
        for (float value : tensor.values()) {
            assertTrue(Float.isFinite(value), tensor + ": " + value);
        }
        assertTrue(tensor.norm() > 0, tensor + " is all zeros");
    }

    @Test
    void jsonTellsWhatWasWritten() throws IOException {
        assertEquals(ExitCodes.OK, synth(SIZES.replace("LAYERS", "27"), "--seed", "9", "--json"), err.toString());
        JsonNode json = JsonMapper.shared().readTree(out.toString());
        assertEquals("kleinscope.synth/1", json.get("schema").asString());
        assertEquals(9, json.get("seed").asLong());
        assertEquals("text_encoder", json.get("components").get(1).get("component").asString());
        assertEquals(27 * 11 + 2, json.get("components").get(1).get("tensors").asInt());
    }

    @Test
    void aTextEncoderThatNoPromptCanUseIsBadInput() throws IOException {
        assertEquals(ExitCodes.BAD_INPUT, synth(SIZES.replace("LAYERS", "26")));
        assertTrue(err.toString().contains("num_hidden_layers: expected at least 27"), err.toString());
        assertFalse(Files.exists(folder.resolve("model")), "written all the same");
    }

    @Test
    void aConfigurationWithoutSizesIsBadInput() throws IOException {
        assertEquals(ExitCodes.BAD_INPUT, synth("{\"transformer\": {\"num_layers\": 3}}"));
        assertTrue(err.toString().contains("attention_head_dim: expected a whole number from 1 to 16777216, found no such entry"),
                err.toString());
    }

    @Test
    void aModelLargerThanTheDiskIsBadInput() throws IOException {
        assertEquals(ExitCodes.BAD_INPUT, synth("""
                {"transformer": {"attention_head_dim": 128, "in_channels": 128, "joint_attention_dim": 15360,
                                 "num_attention_heads": 8192, "num_layers": 4000, "num_single_layers": 0, "mlp_ratio": 0.1}}"""));
        assertTrue(err.toString().contains("are missing; free space") , err.toString());
    }

    @Test
    void aMissingConfigurationIsBadInput() {
        assertEquals(ExitCodes.BAD_INPUT, Main.run(new PrintWriter(out, true), new PrintWriter(err, true),
                "synth", "--config", folder.resolve("none.json").toString(), "--out", folder.resolve("model").toString()));
        assertTrue(err.toString().contains("none.json does not exist"), err.toString());
    }
}
