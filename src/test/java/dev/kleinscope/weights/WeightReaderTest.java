package dev.kleinscope.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.Shape;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WeightReaderTest {

    @TempDir
    Path folder;
    private Path file;
    private Safetensors weights;
    private WeightReader reader;

    @BeforeEach
    void open() {
        file = new HostileFile().tensor("blocks.4.attn.to_q.weight", "BF16", "[2,4]",
                16).tensor("blocks.4.attn.to_k.weight", "BF16", "[2,2]", 8)
                .tensor("scale", "F32", "[]", 4).tensor("count", "I64", "[]", 8).tensor("small", "F8_E4M3", "[2]", 2)
                .write(folder.resolve("m.safetensors"));
        weights = Safetensors.open(file);
        reader = new WeightReader(weights);
    }

    @AfterEach
    void close() {
        weights.close();
    }

    private String refusal(String name, long... shape) {
        return assertThrows(ModelException.class, () -> reader.take(name, shape)).getMessage();
    }

    @Test
    void takesWhatHasTheExpectedShape() {
        assertEquals(Shape.of(2, 4), reader.take("blocks.4.attn.to_q.weight", 2, 4).shape());
        assertEquals(Shape.of(), reader.take("scale").shape());
        assertEquals(Set.of("blocks.4.attn.to_q.weight", "scale"), reader.taken());
    }

    @Test
    void misshapenTensorIsNamedWithBothShapesTypeAndFile() {
        assertTrue(refusal("blocks.4.attn.to_q.weight", 2, 2)
                .startsWith("blocks.4.attn.to_q.weight: expected [2, 2], found [2, 4] BF16 in " + file));
    }

    @Test
    void missingTensorComesWithItsNearestNames() {
        String message = refusal("blocks.4.attn.to_v.weight", 2, 2);
        assertTrue(message.contains("no tensor blocks.4.attn.to_v.weight (nearest: blocks.4.attn.to_q.weight, blocks.4.attn.to_k.weight)"), message);
        assertTrue(refusal("zzzz").contains("no tensor zzzz; check"));
    }

    @Test
    void onlyFloatingPointNumbersAreTaken() {
        assertTrue(refusal("count").contains("count: expected floating-point numbers, found I64"));
        assertTrue(refusal("small", 2).contains("found F8_E4M3"));
    }

    @Test
    void finishNamesWhatWasLeftOver() {
        reader.take("scale");
        reader.skip("small");
        String message = assertThrows(ModelException.class, () -> reader.finish(name -> name.equals("count"))).getMessage();
        assertTrue(message.contains("holds 2 of 5 tensors that the model does not have: blocks.4.attn.to_q.weight, blocks.4.attn.to_k.weight;"), message);
        reader.finish(name -> !name.equals("scale"));
    }

    @Test
    void finishNamesNoMoreThanFive() {
        HostileFile many = new HostileFile();
        for (int i = 0; i < 9; i++) {
            many.tensor("t" + i, "F32", "[0]", 0);
        }
        try (Safetensors source = Safetensors.open(many.write(folder.resolve("many.safetensors")))) {
            String message = assertThrows(ModelException.class,
                    () -> new WeightReader(source).finish(name -> false)).getMessage();
            assertTrue(message.contains("t0, t1, t2, t3, t4, ...;"), message);
        }
    }
}
