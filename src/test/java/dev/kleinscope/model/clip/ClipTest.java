package dev.kleinscope.model.clip;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.ComponentKind;
import dev.kleinscope.weights.ModelComponent;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.ModelFiles;
import dev.kleinscope.weights.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ClipTest {

    private static final String REFERENCE = "src/test/resources/reference/";

    private final Ops ops = new ReferenceOps();
    private WeightSource weights;
    private Clip clip;

    @BeforeEach
    void open() {
        ModelComponent component = component("clip-gelu");
        weights = component.open();
        clip = new Clip(weights, ClipConfig.from(component.config()), ops);
    }

    @AfterEach
    void close() {
        weights.close();
        ops.close();
    }

    private static ModelComponent component(String model) {
        return ModelFiles.resolve(REFERENCE + model).component(ComponentKind.CLIP);
    }

    private static HostTensor noise(long batch) {
        Random random = new Random(3);
        float[] values = new float[(int) batch * 3 * 30 * 30];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("pixel_values", values, batch, 3, 30, 30);
    }

    private static void alike(float[] expected, float[] found) {
        assertArrayEquals(expected, found, 1e-6f);
    }

    @Test
    void aBatchGivesWhatItsElementsGive() {
        HostTensor pixels = noise(2);
        HostTensor both = clip.imageEmbeds(ops, pixels);
        assertEquals(Shape.of(2, 10), both.shape());
        float[] second = Arrays.copyOfRange(pixels.values(), 2700, 5400);
        alike(both.row(1), clip.imageEmbeds(ops, HostTensor.of("pixel_values", second, 1, 3, 30, 30)).values());
        int[][] ids = {{4, 9, 150, 7}, {5, 150, 1, 1}};
        HostTensor texts = clip.textEmbeds(ops, ids);
        alike(texts.row(0), clip.textEmbeds(ops, new int[][] {ids[0]}).values());
        alike(texts.row(1), clip.textEmbeds(ops, new int[][] {ids[1]}).values());
    }

    @Test
    void embeddingsAreUnitVectors() {
        assertEquals(1, HostTensor.of("row", clip.imageEmbeds(ops, noise(2)).row(1), 10).norm(), 1e-6);
        assertEquals(1, clip.textEmbeds(ops, new int[][] {{4, 9, 150}}).norm(), 1e-6);
    }

    @Test
    void onlyWhatStandsBeforeTheFirstEndOfTextCounts() {
        float[] embeds = clip.textEmbeds(ops, new int[][] {{4, 9, 150}}).values();
        alike(embeds, clip.textEmbeds(ops, new int[][] {{4, 9, 150, 199, 150}}).values());
        float[] other = clip.textEmbeds(ops, new int[][] {{9, 4, 150}}).values();
        assertTrue(Math.abs(embeds[0] - other[0]) > 1e-3, embeds[0] + " and " + other[0]);
    }

    @Test
    void withTheLegacyEndOfTextTheLargestIdEndsTheText() {
        ModelComponent quick = component("clip-quick");
        try (WeightSource source = quick.open()) {
            Clip legacy = new Clip(source, ClipConfig.from(quick.config()), ops);
            float[] embeds = legacy.textEmbeds(ops, new int[][] {{4, 2, 9, 199}}).values();
            alike(embeds, legacy.textEmbeds(ops, new int[][] {{4, 2, 9, 199, 2, 199, 3}}).values());
        }
    }

    @Test
    void eachPointOfTheCatalogueFiresOnceInItsOrderWithItsShape() {
        Map<String, Shape> seen = new LinkedHashMap<>();
        List<String> repeated = new ArrayList<>();
        Probes probes = Probes.of(new Observer() {
            @Override
            public boolean wants(String point) {
                return true;
            }

            @Override
            public void saw(int step, Pass pass, String point, Tensor tensor) {
                if (seen.put(point, tensor.shape()) != null) {
                    repeated.add(point);
                }
            }
        }, 0, Pass.COND);
        HostTensor text = clip.textEmbeds(ops, new int[][] {{4, 9, 150}}, probes);
        clip.imageEmbeds(ops, noise(2), probes);
        assertEquals(Clip.points(clip.config()).points().stream().map(Point::name).toList(), List.copyOf(seen.keySet()));
        assertEquals(List.of(), repeated);
        assertEquals(Shape.of(1, 3, 24), seen.get("text_model.encoder.layers.1"));
        assertEquals(Shape.of(2, 10, 32), seen.get("vision_model.encoder.layers.1"));
        assertEquals(Shape.of(2, 10), seen.get("visual_projection"));
        assertArrayEquals(text.values(), clip.textEmbeds(ops, new int[][] {{4, 9, 150}}).values());
    }

    @Test
    void inputsThatDoNotFitAreRefusedWithWhatWasExpected() {
        refused("expected [batch, 3, 30, 30], found [1, 3, 30, 29]",
                () -> clip.imageEmbeds(ops, HostTensor.of("pixel_values", new float[2610], 1, 3, 30, 29)));
        refused("token id 200 is outside the vocabulary of 200", () -> clip.textEmbeds(ops, new int[][] {{200, 150}}));
        refused("has no end-of-text token 150", () -> clip.textEmbeds(ops, new int[][] {{1, 2}}));
        refused("1 to 20 tokens, found 21", () -> clip.textEmbeds(ops, new int[][] {new int[21]}));
        refused("rows of 2 and 1 ids", () -> clip.textEmbeds(ops, new int[][] {{1, 150}, {150}}));
    }

    private static void refused(String message, Runnable run) {
        IllegalArgumentException error = assertThrows(IllegalArgumentException.class, run::run);
        assertTrue(error.getMessage().contains(message), error.getMessage());
    }

    @Test
    void weightsOfAnotherModelAreRefusedByName() {
        ModelComponent tiny = component("clip-quick");
        try (WeightSource source = tiny.open()) {
            ModelException error = assertThrows(ModelException.class, () -> new Clip(source, clip.config(), ops));
            assertTrue(error.getMessage().contains("text_projection.weight: expected [10, 24], found [16, 24]"), error.getMessage());
        }
    }

    @Test
    void positionIdsInAFileAreIgnoredAndOtherExtrasAreNot() {
        Clip again = new Clip(new WithExtra(weights, "text_model.embeddings.position_ids"), clip.config(), ops);
        assertArrayEquals(clip.textEmbeds(ops, new int[][] {{4, 150}}).values(),
                again.textEmbeds(ops, new int[][] {{4, 150}}).values());
        ModelException error = assertThrows(ModelException.class,
                () -> new Clip(new WithExtra(weights, "text_model.adapter.weight"), clip.config(), ops));
        assertTrue(error.getMessage().contains("text_model.adapter.weight"), error.getMessage());
    }

    @Test
    void theLogitScaleIsTheExponentialOfTheWeight() {
        float weight = weights.tensor("logit_scale").toHost().values()[0];
        assertNotEquals(0, weight);
        assertEquals(Math.exp(weight), clip.logitScale(), 1e-9);
    }

    /** Weights among which one more is named. */
    private record WithExtra(WeightSource source, String extra) implements WeightSource {

        @Override
        public Set<String> names() {
            Set<String> names = new LinkedHashSet<>(source.names());
            names.add(extra);
            return names;
        }

        @Override
        public Tensor tensor(String name) {
            return source.tensor(name);
        }

        @Override
        public Path file(String name) {
            return source.file(name);
        }

        @Override
        public String describe() {
            return source.describe();
        }

        @Override
        public List<Path> files() {
            return source.files();
        }

        @Override
        public String headerHash() {
            return source.headerHash();
        }

        @Override
        public void close() {
            source.close();
        }
    }
}
