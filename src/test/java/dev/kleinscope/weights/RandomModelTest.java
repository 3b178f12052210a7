package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.SafetensorsWriter.Declaration;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RandomModelTest {

    private static final Path TINY = Path.of("weights/tiny-klein");
    private static final long PLENTY = 1L << 40;

    @TempDir
    Path folder;

    private static RandomModel tiny(String component, long seed) {
        return new RandomModel(ModelBlueprint.read(TINY.resolve(component).resolve("config.json")), TINY, seed);
    }

    private List<String> listing() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    private static float[] draw(long seed, String name, long... dims) {
        Declaration declaration = new Declaration(name, DType.BF16, new Shape(dims));
        MemorySegment bytes = MemorySegment.ofArray(new byte[(int) declaration.bytes()]);
        new RandomWeights(seed).of(declaration).fill(0, bytes);
        float[] values = new float[(int) declaration.shape().elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = Float.intBitsToFloat(bytes.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i) << 16);
        }
        return values;
    }

    @Test
    void weightsAreNormalWithTheVarianceOfTheirFanIn() {
        float[] values = draw(3, "x.weight", 4000, 100);
        double sum = 0;
        double squares = 0;
        double fourth = 0;
        int inside = 0;
        for (float value : values) {
            sum += value;
            squares += (double) value * value;
            fourth += Math.pow(value, 4);
            inside += Math.abs(value) < 0.1 ? 1 : 0;
        }
        int n = values.length;
        assertEquals(0, sum / n, 5 * 0.1 / Math.sqrt(n));
        assertEquals(0.01, squares / n, 5 * 0.01 * Math.sqrt(2.0 / n));
        assertEquals(3e-4, fourth / n, 5 * 1e-4 * Math.sqrt(96.0 / n));
        assertEquals(0.6827, (double) inside / n, 0.005);
    }

    @Test
    void embeddingsHaveVarianceOneNormsAreOneAndBiasesZero() {
        double squares = 0;
        for (float value : draw(3, "model.embed_tokens.weight", 300, 100)) {
            squares += (double) value * value;
        }
        assertEquals(1, squares / 30_000, 0.05);
        assertArrayEquals(new float[] {1, 1, 1, 1, 1}, draw(3, "norm1.weight", 5));
        assertArrayEquals(new float[] {0, 0, 0}, draw(3, "norm1.bias", 3));
        assertArrayEquals(new float[] {0, 0}, draw(3, "bn.running_mean", 2));
        assertArrayEquals(new float[] {1, 1}, draw(3, "bn.running_var", 2));
    }

    @Test
    void seedAndNameDecideTheValuesAndPiecesDoNot() {
        float[] whole = draw(1, "a.weight", 7, 9);
        assertArrayEquals(whole, draw(1, "a.weight", 7, 9));
        assertFalse(Arrays.equals(whole, draw(2, "a.weight", 7, 9)));
        assertFalse(Arrays.equals(whole, draw(1, "b.weight", 7, 9)));
        Declaration declaration = new Declaration("a.weight", DType.BF16, Shape.of(7, 9));
        byte[] bytes = new byte[126];
        new RandomWeights(1).of(declaration).fill(64, MemorySegment.ofArray(bytes).asSlice(64));
        new RandomWeights(1).of(declaration).fill(0, MemorySegment.ofArray(bytes).asSlice(0, 64));
        byte[] expected = new byte[126];
        new RandomWeights(1).of(declaration).fill(0, MemorySegment.ofArray(expected));
        assertArrayEquals(expected, bytes);
    }

    @Test
    void writtenTensorsAreTheDrawnOnesAcrossChunks() throws Exception {
        Declaration large = new Declaration("large.weight", DType.BF16, Shape.of(1501, 2003));
        Declaration small = new Declaration("small.weight", DType.BF16, Shape.of(3));
        assertTrue(large.bytes() > ChunkPipeline.CHUNK_BYTES, "one chunk only");
        Path file = folder.resolve("x.safetensors");
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, List.of(large, small), Map.of())) {
            ChunkPipeline.write(writer, List.of(large, small), 5, name -> { });
            writer.commit();
        }
        try (Safetensors source = Safetensors.open(file)) {
            assertArrayEquals(draw(5, "large.weight", 1501, 2003), source.tensor("large.weight").toHost().values());
            assertArrayEquals(new float[] {1, 1, 1}, source.tensor("small.weight").toHost().values());
        }
    }

    @Test
    void aSingleComponentIsAModelFolderOfItsOwn() throws Exception {
        Path target = folder.resolve("model");
        RandomModel model = tiny("transformer", 1);
        AtomicLong steps = new AtomicLong();
        List<RandomModel.Written> written = model.write(target, where -> PLENTY, name -> steps.incrementAndGet());
        assertEquals(model.steps(), steps.get());
        assertEquals(169, written.getFirst().tensors());
        assertEquals(List.of("model"), listing());
        ModelFiles files = ModelFiles.resolve(target.toString());
        assertEquals(Set.of(ComponentKind.TRANSFORMER), files.kinds());
        assertEquals(true, files.isDistilled());
        try (WeightSource source = files.component(ComponentKind.TRANSFORMER).open()) {
            assertEquals(169, source.names().size());
        }
        assertTrue(JsonFile.read(target.resolve("model_index.json")).get("vae").get(0).isNull(), "vae");
    }

    @Test
    void weightsThatNoFileHoldsAreThoseThatAreWritten() throws Exception {
        ModelBlueprint blueprint = ModelBlueprint.read(TINY.resolve("vae/config.json"));
        new RandomModel(blueprint, TINY, 4).write(folder.resolve("model"), where -> PLENTY, name -> { });
        for (boolean inMemory : new boolean[] {false, true}) {
            ModelFiles random = ModelFiles.random("a name", blueprint, TINY, 4, inMemory);
            assertEquals(Set.of(ComponentKind.VAE), random.kinds());
            assertEquals(true, random.isDistilled());
            try (WeightSource written = ModelFiles.resolve(folder.resolve("model").toString()).component(ComponentKind.VAE).open();
                    WeightSource drawn = random.component(ComponentKind.VAE).open()) {
                assertEquals(written.names(), drawn.names());
                for (String name : written.names()) {
                    assertArrayEquals(written.tensor(name).toHost().values(), drawn.tensor(name).toHost().values(), name);
                }
                assertEquals(64, Fingerprint.of(drawn).length());
                Tensor tensor = drawn.tensor("decoder.conv_in.weight");
                float[] last = tensor.slice(0, 1, tensor.dim(0)).toHost().values();
                float[] all = tensor.toHost().values();
                assertArrayEquals(Arrays.copyOfRange(all, all.length - last.length, all.length), last);
            }
        }
    }

    @Test
    void fingerprintsOfRandomWeightsTellSeedsApart() {
        ModelBlueprint blueprint = ModelBlueprint.read(TINY.resolve("vae/config.json"));
        Set<String> prints = new HashSet<>();
        for (long seed : new long[] {1, 1, 2}) {
            for (boolean inMemory : new boolean[] {false, true}) {
                try (WeightSource source = ModelFiles.random("x", blueprint, TINY, seed, inMemory).component(ComponentKind.VAE).open()) {
                    prints.add(Fingerprint.of(source));
                }
            }
        }
        assertEquals(2, prints.size(), prints.toString());
    }

    @Test
    void tooLargeForMemoryNamesTheCommandThatWritesAFile() {
        ModelFiles random = ModelFiles.random("klein-4b", ModelBlueprint.klein4b(), TINY, 1, true);
        String message = assertThrows(ModelException.class, () -> random.component(ComponentKind.TRANSFORMER).open()).getMessage();
        assertTrue(message.contains("klein-4b's random transformer") && message.contains("kleinscope synth"), message);
        assertTrue(random.has(ComponentKind.TOKENIZER), random.toString());
        Tensor last = ModelFiles.random("klein-4b", ModelBlueprint.klein4b(), TINY, 1, false).component(ComponentKind.TRANSFORMER).open()
                .tensor("proj_out.weight");
        assertEquals(Shape.of(128, 3072), last.shape());
    }

    @Test
    void shardsHoldTheSameWeightsAsOneFile() throws Exception {
        ModelBlueprint blueprint = ModelBlueprint.read(TINY.resolve("text_encoder/config.json"));
        new RandomModel(blueprint, TINY, 1).write(folder.resolve("one"), where -> PLENTY, name -> { });
        List<RandomModel.Written> written = new RandomModel(blueprint, TINY, 1, 1_500_000)
                .write(folder.resolve("two"), where -> PLENTY, name -> { });
        assertEquals(List.of("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"), written.getFirst().files());
        try (WeightSource one = ModelFiles.resolve(folder.resolve("one").toString()).component(ComponentKind.TEXT_ENCODER).open();
                WeightSource two = ModelFiles.resolve(folder.resolve("two").toString()).component(ComponentKind.TEXT_ENCODER).open()) {
            assertEquals(one.names(), two.names());
            for (String name : one.names()) {
                HostTensor expected = one.tensor(name).toHost();
                assertArrayEquals(expected.values(), two.tensor(name).toHost().values(), name);
            }
            assertNotEquals(two.file("model.embed_tokens.weight"), two.file("model.norm.weight"));
        }
        assertEquals(written.getFirst().bytes(), JsonFile.read(folder.resolve("two/text_encoder/model.safetensors.index.json"))
                .get("metadata").get("total_size").asLong());
    }

    @Test
    void tooLittleSpaceIsSaidBeforeAnythingIsWritten() throws IOException {
        ModelException e = assertThrows(ModelException.class,
                () -> tiny("transformer", 1).write(folder.resolve("model"), where -> 60_000_000, name -> { }));
        assertTrue(e.getMessage().contains("takes 67.4 MB (67407616 bytes), but only 60.0 MB (60000000 bytes) are free"), e.getMessage());
        assertTrue(e.getMessage().contains("7.4 MB (7407616 bytes) are missing"), e.getMessage());
        assertEquals(List.of(), listing());
    }

    @Test
    void anInterruptedRunLeavesNothing() throws IOException {
        AtomicLong steps = new AtomicLong();
        assertThrows(InterruptedException.class, () -> tiny("transformer", 1).write(folder.resolve("model"), where -> PLENTY, name -> {
            if (steps.incrementAndGet() == 20) {
                Thread.currentThread().interrupt();
            }
        }));
        assertFalse(Thread.interrupted(), "the interrupt was reported by the exception and is spent");
        assertEquals(20, steps.get());
        assertEquals(List.of(), listing());
    }

    @Test
    void aFailureLeavesNothing() throws IOException {
        assertThrows(IllegalStateException.class, () -> tiny("vae", 1).write(folder.resolve("model"), where -> PLENTY, name -> {
            throw new IllegalStateException(name);
        }));
        assertEquals(List.of(), listing());
    }

    @Test
    void anEmptyFolderIsFilledAndAFullOneRefused() throws Exception {
        Path target = Files.createDirectory(folder.resolve("model"));
        tiny("vae", 1).write(target, where -> PLENTY, name -> { });
        ModelException full = assertThrows(ModelException.class, () -> tiny("vae", 1).write(target, where -> PLENTY, name -> { }));
        assertTrue(full.getMessage().contains("exists and is not empty"), full.getMessage());
        Path file = Files.createFile(folder.resolve("file"));
        ModelException taken = assertThrows(ModelException.class, () -> tiny("vae", 1).write(file, where -> PLENTY, name -> { }));
        assertTrue(taken.getMessage().contains("is a file"), taken.getMessage());
        ModelException nowhere = assertThrows(ModelException.class,
                () -> tiny("vae", 1).write(folder.resolve("a/b"), where -> PLENTY, name -> { }));
        assertTrue(nowhere.getMessage().contains("the folder around it does not exist"), nowhere.getMessage());
    }
}
