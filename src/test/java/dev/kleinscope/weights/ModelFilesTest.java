package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelFilesTest {

    private static final Path TINY = Path.of("weights/tiny-klein");

    @TempDir
    Path folder;

    private static String refusal(Object argument) {
        return assertThrows(ModelException.class, () -> ModelFiles.resolve(argument.toString())).getMessage();
    }

    private Path write(String name, String text) throws IOException {
        Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, text);
    }

    @Test
    void modelFolderGivesAllItsComponents() {
        long start = System.nanoTime();
        ModelFiles files = ModelFiles.resolve(TINY.toString());
        assertEquals(Set.of(ComponentKind.TRANSFORMER, ComponentKind.TEXT_ENCODER, ComponentKind.VAE,
                ComponentKind.TOKENIZER,
                ComponentKind.SCHEDULER), files.kinds());
        assertEquals(Boolean.TRUE, files.isDistilled());
        assertEquals(20, files.component(ComponentKind.TRANSFORMER).config().get("num_single_layers").intValue());
        assertEquals(TINY.resolve("tokenizer"), files.component(ComponentKind.TOKENIZER).location());
        for (ComponentKind kind : Set.of(ComponentKind.TRANSFORMER, ComponentKind.TEXT_ENCODER, ComponentKind.VAE)) {
            try (WeightSource weights = files.component(kind).open()) {
                assertEquals(kind, Recognition.byNames(weights));
            }
        }
        System.out.println("the miniature: found and opened in " + (System.nanoTime() - start) / 1_000_000 + " ms");
        String message = assertThrows(ModelException.class, () -> files.component(ComponentKind.CLIP)).getMessage();
        assertTrue(message.contains("no clip here, only [transformer, text_encoder, vae, tokenizer, scheduler]"), message);
        assertThrows(IllegalStateException.class, () -> files.component(ComponentKind.SCHEDULER).open());
    }

    @Test
    void componentFoldersAreRecognisedByTheirConfiguration() throws IOException {
        assertEquals(Set.of(ComponentKind.TRANSFORMER), ModelFiles.resolve(TINY.resolve("transformer").toString()).kinds());
        assertEquals(Set.of(ComponentKind.TEXT_ENCODER),
                ModelFiles.resolve(TINY.resolve("text_encoder").toString()).kinds());
        assertEquals(Set.of(ComponentKind.VAE), ModelFiles.resolve(TINY.resolve("vae").toString()).kinds());
        assertEquals(Set.of(ComponentKind.TOKENIZER), ModelFiles.resolve(TINY.resolve("tokenizer").toString()).kinds());
        assertEquals(Set.of(ComponentKind.SCHEDULER), ModelFiles.resolve(TINY.resolve("scheduler").toString()).kinds());
        write("clip/config.json", "{\"model_type\":\"clip\"}");
        write("clip/tokenizer.json", "{}");
        ModelFiles clip = ModelFiles.resolve(folder.resolve("clip").toString());
        assertEquals(Set.of(ComponentKind.CLIP, ComponentKind.TOKENIZER), clip.kinds());
        assertNull(clip.isDistilled());
        assertNull(clip.component(ComponentKind.TOKENIZER).config());
    }

    @ParameterizedTest
    @CsvSource({
        "double_stream_modulation_img.lin.weight, TRANSFORMER", "double_stream_modulation_img.linear.weight, TRANSFORMER",
        "model.diffusion_model.double_stream_modulation_img.lin.weight, TRANSFORMER", "model.layers.0.self_attn.q_norm.weight, TEXT_ENCODER",
        "text_model.embeddings.token_embedding.weight, CLIP", "bn.running_mean, VAE"})
    void singleFilesAreRecognisedByTheirTensors(String name, ComponentKind kind) {
        Path file = new HostileFile().tensor(name, "F32", "[2]", 8).tensor("decoder.conv_in.weight", "F32", "[1]",
                4).write(folder.resolve("any"));
        ModelFiles files = ModelFiles.resolve(file.toString());
        assertEquals(Set.of(kind), files.kinds());
        assertNull(files.component(kind).config());
        try (WeightSource weights = files.component(kind).open()) {
            assertEquals(2, weights.names().size());
        }
    }

    @Test
    void blackForestLabsFileOpensUnderDiffusersNames() {
        ModelFiles files = ModelFiles.resolve("src/test/resources/reference/tiny-klein-bfl.safetensors");
        try (WeightSource weights = files.component(ComponentKind.TRANSFORMER).open()) {
            assertEquals(169, weights.names().size());
            assertTrue(weights.contains("transformer_blocks.4.attn.to_q.weight"));
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "double_blocks.0.img_mod.lin.weight | is a FLUX.1 transformer", "decoder.conv_in.weight | autoencoder of another model",
        "a.lora_A.weight | is a LoRA", "foo | first tensor is foo",
        "model.diffusion_model.double_blocks.0.img_mod.lin.weight | is a FLUX.1 transformer"})
    void otherModelsAreNamed(String name, String reason) {
        String message = refusal(new HostileFile().tensor(name, "F32", "[1]", 4).write(folder.resolve("m.safetensors")));
        assertTrue(message.contains(reason) && message.contains("supported are FLUX.2 klein's DiT"), message);
    }

    @Test
    void otherConfigurationsAreNamed() throws IOException {
        write("a/config.json", "{\"_class_name\":\"FluxTransformer2DModel\"}");
        assertTrue(refusal(folder.resolve("a")).contains("FLUX.1 transformer"));
        write("b/config.json", "{\"model_type\":\"llama\"}");
        assertTrue(refusal(folder.resolve("b")).contains("is of a llama, which is not supported"));
        write("c/model_index.json", "{\"_class_name\":\"FluxPipeline\"}");
        assertTrue(refusal(folder.resolve("c")).contains("found FluxPipeline, which is FLUX.1"));
        write("d/model_index.json", "{\"_class_name\":\"Flux2KleinPipeline\",\"vae\":[\"diffusers\",\"X\"]}");
        write("d/vae/config.json", "{\"model_type\":\"qwen3\"}");
        assertTrue(refusal(folder.resolve("d")).contains("expected the configuration of a vae, found that of a text_encoder (qwen3)"));
        write("e/model_index.json", "{\"_class_name\":\"Flux2KleinPipeline\",\"is_distilled\":\"yes\"}");
        assertTrue(refusal(folder.resolve("e")).contains("is_distilled: expected true or false"));
        assertTrue(refusal(folder).contains("is not a model folder"));
    }

    @Test
    void picklesAndMissingWeightsSayWhatToDo() throws IOException {
        assertTrue(refusal(write("m.ckpt", "x")).contains("safetensors.torch.save_file"));
        assertTrue(refusal(write("m.gguf", "x")).contains("GGUF"));
        write("t/config.json", "{\"_class_name\":\"Flux2Transformer2DModel\"}");
        ModelComponent transformer = ModelFiles.resolve(folder.resolve("t").toString()).component(ComponentKind.TRANSFORMER);
        assertTrue(assertThrows(ModelException.class,
                transformer::open).getMessage().contains("expected diffusion_pytorch_model.safetensors or"));
        write("t/diffusion_pytorch_model.bin", "x");
        assertTrue(assertThrows(ModelException.class,
                transformer::open).getMessage().contains("pickled PyTorch checkpoint"));
    }

    @Test
    void damagedJsonIsRefused() throws IOException {
        for (String json : new String[] {"", "[]", "{", "{} x", "{\"a\":1,\"a\":2}", "{\"a\":" + "[".repeat(100_000)}) {
            write("m/config.json", json);
            assertTrue(refusal(folder.resolve("m")).startsWith(folder.resolve("m").resolve("config.json").toString()), json);
        }
        Files.write(folder.resolve("m/config.json"), new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'});
        assertTrue(refusal(folder.resolve("m")).contains("is not valid UTF-8"));
        Files.write(folder.resolve("m/config.json"), new byte[JsonFile.MAX_BYTES + 1]);
        assertTrue(refusal(folder.resolve("m")).contains("expected JSON of at most 10.0 MB"));
    }

    @Test
    void shardedComponentIsFoundByItsIndex() throws IOException {
        write("t/config.json", "{\"model_type\":\"qwen3\"}");
        write("t/model.safetensors.index.json", "{\"weight_map\":{\"a\":\"m-1.safetensors\"}}");
        new HostileFile().tensor("a", "F32", "[1]", 4).write(folder.resolve("t/m-1.safetensors"));
        try (WeightSource weights = ModelFiles.resolve(folder.resolve("t").toString()).component(ComponentKind.TEXT_ENCODER).open()) {
            assertEquals(Set.of("a"), weights.names());
        }
    }

    @Test
    void hubNamesAreFoundInTheCache() throws IOException {
        String commit = "0123456789abcdef0123456789abcdef01234567";
        write("hub/models--org--Name.1/refs/main", commit);
        write("hub/models--org--Name.1/snapshots/" + commit + "/model_index.json",
                "{\"_class_name\":\"Flux2KleinPipeline\"}");
        for (Map<String, String> environment : List.of(Map.of("HF_HOME", folder.toString()), Map.of("HF_HUB_CACHE",
                "~/hub", "HF_HOME", "/nowhere"))) {
            ModelFiles files = ModelFiles.resolve("org/Name.1", new HubCache(environment, folder));
            assertTrue(files.origin().endsWith(commit));
        }
        HubCache cache = new HubCache(Map.of("HF_HUB_CACHE", "", "HF_HOME", folder.toString()), folder);
        String absent = assertThrows(ModelException.class, () -> ModelFiles.resolve("org/other", cache)).getMessage();
        assertTrue(absent.contains("hf download org/other"), absent);
        write("hub/models--org--Name.1/refs/main", "../../..");
        assertTrue(assertThrows(ModelException.class, () -> ModelFiles.resolve("org/Name.1",
                cache)).getMessage().contains("found ../../.."));
        ModelException elsewhere = assertThrows(ModelException.class, () -> ModelFiles.resolve("org/n",
                new HubCache(Map.of(), folder)));
        assertTrue(elsewhere.getMessage().contains(folder.resolve(".cache/huggingface/hub").toString()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"../no-such-folder", "org/..", "org/a..b", "org/a--b", "org/a b", "org/a/b", "org", "-org/a",
            "org/\u0000", ""})
    void oddNamesAreNotLookedUp(String name) {
        assertTrue(!HubCache.isId(name));
        assertTrue(refusal(name).matches("(?s).*(does not exist|is not a path|is empty).*"), refusal(name));
    }
}
