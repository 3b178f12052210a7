package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShardedSafetensorsTest {

    @TempDir
    Path folder;
    private Path first;
    private Path second;

    @BeforeEach
    void writeShards() {
        first = new HostileFile().tensor("a", "U8", "[1]", 1).tensor("b", "U8", "[2]",
                2).write(folder.resolve("m-1.safetensors"));
        second = new HostileFile().tensor("c", "U8", "[3]", 3).write(folder.resolve("m-2.safetensors"));
    }

    private Path index(String weightMap) {
        String json = "{\"metadata\":{\"total_size\":6},\"weight_map\":" + weightMap + "}";
        return HostileFile.write(folder.resolve("m.safetensors.index.json"), json.getBytes(StandardCharsets.UTF_8));
    }

    private String refusal(String weightMap) {
        Path index = index(weightMap);
        return assertThrows(ModelException.class, () -> ShardedSafetensors.open(index)).getMessage();
    }

    @Test
    void tensorsComeFromTheShardThatTheIndexNames() {
        Path index = index("{\"c\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\",\"a\":\"m-1.safetensors\"}");
        try (ShardedSafetensors weights = ShardedSafetensors.open(index)) {
            assertEquals(List.of("a", "b", "c"), List.copyOf(weights.names()));
            assertArrayEquals(new float[] {0, 1, 2}, weights.tensor("c").toHost().values());
            assertEquals(second, weights.file("c"));
            assertEquals(List.of(index, first, second), weights.files());
            assertEquals(64, weights.headerHash().length());
            assertTrue(assertThrows(ModelException.class, () -> weights.tensor("d")).getMessage().contains("no tensor d"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"../m-1.safetensors", "/etc/m.safetensors", "sub/m.safetensors", "..\\\\m.safetensors",
            "C:m.safetensors",
        ".m.safetensors", "m-1.bin", "", "m\\u0000.safetensors"})
    void shardNamesCannotLeadOutOfTheFolder(String name) {
        String message = refusal("{\"a\":\"" + name + "\"}");
        assertTrue(message.contains("expected the plain name of a .safetensors file"), message);
    }

    @Test
    void indexAndShardsMustAgree() {
        assertTrue(refusal("{\"a\":\"m-1.safetensors\"}").contains("holds b, which"));
        assertTrue(refusal("{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\",\"c\":\"m-2.safetensors\"}").contains("promises b in m-2.safetensors"));
        assertTrue(refusal("{\"c\":\"m-2.safetensors\",\"x\":\"m-2.safetensors\"}").contains("promises x in m-2.safetensors"));
        assertTrue(refusal("{\"c\":\"m-3.safetensors\"}").contains("m-3.safetensors does not exist"));
    }

    @Test
    void aTensorInTwoShardsIsRefused() {
        new HostileFile().tensor("c", "U8", "[1]", 1).tensor("a", "U8", "[1]", 1).write(second);
        assertTrue(refusal("{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\",\"c\":\"m-2.safetensors\"}").contains("a is both in"));
    }

    @Test
    void malformedIndexIsRefused() {
        for (String map : List.of("[]", "{}", "1", "{\"a\":1}",
                "{\"a\":\"m-1.safetensors\",\"a\":\"m-1.safetensors\"}", "{")) {
            assertTrue(refusal(map).startsWith(folder.toString()), map);
        }
    }

    @Test
    void prefixIsRemovedAndNothingElseHidden() {
        try (WeightSource weights = ShardedSafetensors.open(index("{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\",\"c\":\"m-2.safetensors\"}"))) {
            assertEquals(List.of("a", "b", "c"), List.copyOf(weights.stripPrefix("x.").names()));
        }
        Path file = new HostileFile().tensor("p.a", "U8", "[1]", 1).tensor("b", "U8", "[1]",
                1).write(folder.resolve("p.safetensors"));
        try (WeightSource weights = Safetensors.open(file).stripPrefix("p.")) {
            assertEquals(List.of("a", "b"), List.copyOf(weights.names()));
            assertEquals("a", weights.tensor("a").name());
        }
        Path clash = new HostileFile().tensor("p.a", "U8", "[1]", 1).tensor("a", "U8", "[1]",
                1).write(folder.resolve("q.safetensors"));
        try (WeightSource weights = Safetensors.open(clash)) {
            assertTrue(assertThrows(ModelException.class,
                    () -> weights.stripPrefix("p.")).getMessage().contains("p.a and a both stand for a"));
        }
    }
}
