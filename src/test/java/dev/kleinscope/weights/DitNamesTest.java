package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.HostStorage;
import dev.kleinscope.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DitNamesTest {

    private static final Path BFL = Path.of("src/test/resources/reference/tiny-klein-bfl.safetensors");
    private static final Path DIFFUSERS = Path.of("weights/tiny-klein/transformer/diffusion_pytorch_model.safetensors");

    @TempDir
    Path folder;

    private static void assertSameModel(WeightSource expected, WeightSource actual) {
        assertEquals(new TreeSet<>(expected.names()), new TreeSet<>(actual.names()));
        WeightReader reader = new WeightReader(actual);
        for (String name : expected.names()) {
            Tensor tensor = reader.take(name, expected.tensor(name).shape().dims());
            assertEquals(name, tensor.name());
            assertEquals(expected.tensor(name).dtype(), tensor.dtype());
            assertArrayEquals(expected.tensor(name).toHost().values(), tensor.toHost().values(), name);
        }
        reader.finish(name -> false);
    }

    @Test
    void blackForestLabsFileShowsEveryTensorOfDiffusers() {
        try (WeightSource expected = Safetensors.open(DIFFUSERS); WeightSource actual = DitNames.diffusers(Safetensors.open(BFL))) {
            assertEquals(169, actual.names().size());
            assertSameModel(expected, actual);
        }
    }

    @Test
    void onlyTheFinalModulationIsCopied() {
        try (WeightSource weights = DitNames.diffusers(Safetensors.open(BFL))) {
            Set<String> copied = new TreeSet<>();
            for (String name : weights.names()) {
                if (!((HostStorage) weights.tensor(name).storage()).segment().isMapped()) {
                    copied.add(name);
                }
            }
            assertEquals(Set.of("norm_out.linear.weight"), copied);
            assertSame(weights.tensor("norm_out.linear.weight"), weights.tensor("norm_out.linear.weight"));
        }
    }

    @Test
    void prefixOfComfyUiIsRemoved() {
        Path file = folder.resolve("prefixed.safetensors");
        try (Safetensors bfl = Safetensors.open(BFL)) {
            List<SafetensorsWriter.Declaration> declarations = bfl.names().stream().map(name -> new SafetensorsWriter.Declaration(
                    DitNames.PREFIX + name, bfl.dtype(name), bfl.shape(name))).toList();
            try (SafetensorsWriter writer = SafetensorsWriter.create(file, declarations, Map.of())) {
                bfl.names().forEach(name -> writer.write(DitNames.PREFIX + name,
                        ((HostStorage) bfl.tensor(name).storage()).segment()));
                writer.commit();
            }
        }
        try (WeightSource expected = Safetensors.open(DIFFUSERS); WeightSource actual = DitNames.diffusers(Safetensors.open(file))) {
            assertSameModel(expected, actual);
        }
    }

    @Test
    void diffusersFileIsLeftAsItIs() {
        try (WeightSource weights = Safetensors.open(DIFFUSERS)) {
            assertSame(weights, DitNames.diffusers(weights));
        }
    }

    @Test
    void copiesAreFreedWithTheSource() {
        WeightSource weights = DitNames.diffusers(Safetensors.open(BFL));
        Tensor copy = weights.tensor("norm_out.linear.weight");
        weights.close();
        weights.close();
        assertThrows(IllegalStateException.class, copy::toHost);
        assertTrue(copy.toString().contains("freed by closing " + BFL), copy.toString());
        assertThrows(IllegalStateException.class, () -> weights.tensor("norm_out.linear.weight"));
    }

    private HostileFile bfl() {
        return new HostileFile().tensor(DitNames.BFL_KEY, "F32", "[6,1]", 24);
    }

    @Test
    void unknownTensorsAreReportedAndScalesShared() {
        Path file = bfl().tensor("double_blocks.0.img_attn.qkv.weight", "U8", "[6,2]",
                12).tensor("double_blocks.0.img_attn.qkv.weight_scale", "F32", "[]", 4)
                .tensor("double_blocks.0.img_attn.new.weight", "F32", "[1]", 4).tensor("triple", "F32", "[1]",
                        4).write(folder.resolve("m"));
        try (WeightSource weights = DitNames.diffusers(Safetensors.open(file))) {
            assertEquals(List.of("double_stream_modulation_img.linear.weight", "transformer_blocks.0.attn.to_q.weight",
                    "transformer_blocks.0.attn.to_k.weight", "transformer_blocks.0.attn.to_v.weight", "transformer_blocks.0.attn.to_q.weight_scale",
                    "transformer_blocks.0.attn.to_k.weight_scale", "transformer_blocks.0.attn.to_v.weight_scale",
                    "double_blocks.0.img_attn.new.weight", "triple"), List.copyOf(weights.names()));
            assertArrayEquals(new float[] {28, 29, 30, 31},
                    weights.tensor("transformer_blocks.0.attn.to_k.weight").toHost().values());
            assertArrayEquals(weights.tensor("transformer_blocks.0.attn.to_q.weight_scale").toHost().values(),
                    weights.tensor("transformer_blocks.0.attn.to_v.weight_scale").toHost().values());
        }
    }

    @Test
    void stackedProjectionThatDoesNotDivideIsRefused() {
        Path file = bfl().tensor("double_blocks.0.img_attn.qkv.weight", "U8", "[5,2]", 10).write(folder.resolve("m"));
        try (WeightSource weights = Safetensors.open(file)) {
            String message = assertThrows(ModelException.class, () -> DitNames.diffusers(weights)).getMessage();
            assertTrue(message.contains("expected rows that divide by 3, found [5, 2]"), message);
        }
    }

    @Test
    void aTensorUnderBothVocabulariesIsRefused() {
        Path file = bfl().tensor(DitNames.DIFFUSERS_KEY, "F32", "[6,1]", 24).write(folder.resolve("m"));
        try (WeightSource weights = Safetensors.open(file)) {
            assertTrue(assertThrows(ModelException.class,
                    () -> DitNames.diffusers(weights)).getMessage().contains("both stand for"));
        }
    }

    @Test
    void modulesTranslateForAdapters() {
        assertEquals(List.of(new DitNames.Target("norm_out.linear", 0, 1, true)),
                DitNames.targets("final_layer.adaLN_modulation.1"));
        assertEquals(new DitNames.Target("transformer_blocks.4.attn.add_v_proj", 2, 3, false),
                DitNames.targets("double_blocks.4.txt_attn.qkv").get(2));
        assertEquals(List.of(), DitNames.targets("single_blocks.x.linear1"));
    }
}
