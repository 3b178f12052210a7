package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.model.vae.VaeConfig;
import dev.kleinscope.pipeline.validate.ReferenceCase;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.WeightSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.ObjectMapper;

class LatentPicturesTest {

    private static final LatentPictures PLAIN = new LatentPictures(new float[8], new float[] {1, 1, 1, 1, 1, 1, 1, 1}, 0);

    @Test
    void aTokensChannelsAreTwoByTwoPixelsOfEachLatentChannel() {
        HostTensor tokens = HostTensor.of("t", new float[] {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17}, 1, 2, 8);
        HostTensor picture = PLAIN.fromTokens(tokens, 1, 2);
        assertEquals(Shape.of(1, 2, 4, 2), picture.shape());
        assertArrayEquals(new float[] {0, 4, 1, 5, 10, 14, 11, 15, 2, 6, 3, 7, 12, 16, 13, 17}, picture.values());
        assertArrayEquals(tokens.values(), PLAIN.toTokens(picture).values());
    }

    @Test
    void statisticsAreAppliedPerTokenChannel() {
        LatentPictures pictures = new LatentPictures(new float[] {1, 2, 3, 4}, new float[] {3, 8, 15, 24}, 1);
        HostTensor tokens = HostTensor.of("t", new float[] {1, 1, 1, -1}, 1, 1, 4);
        assertArrayEquals(new float[] {3, 5, 7, -1}, pictures.fromTokens(tokens, 1, 1).values());
        assertArrayEquals(tokens.values(), pictures.toTokens(pictures.fromTokens(tokens, 1, 1)).values());
    }

    @Test
    void batchesAndRowsDoNotMix() {
        Random random = new Random(3);
        float[] values = new float[2 * 3 * 5 * 8];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextFloat();
        }
        HostTensor tokens = HostTensor.of("t", values, 2, 15, 8);
        HostTensor picture = PLAIN.fromTokens(tokens, 3, 5);
        int at = ((1 * 6 + 2 * 2 + 1) * 10 + 2 * 4) * 2 + 1;
        assertEquals(values[(15 + 2 * 5 + 4) * 8 + 4 + 2], picture.values()[at]);
        assertArrayEquals(values, PLAIN.toTokens(picture).values());
    }

    @Test
    void shapesThatDoNotFitAreNamed() {
        String message = assertThrows(IllegalArgumentException.class,
                () -> PLAIN.fromTokens(HostTensor.of("t", new float[16], 1, 2, 8), 2, 2)).getMessage();
        assertTrue(message.contains("2 * 2, 8") && message.contains("[1, 2, 8]"), message);
        assertThrows(IllegalArgumentException.class, () -> PLAIN.toTokens(HostTensor.of("t", new float[12], 1, 3, 2, 2)));
    }

    @Test
    void planesAndPixelsConvertBothWays() {
        HostTensor planes = HostTensor.of("p", new float[] {1, 2, 3, 4, 5, 6}, 1, 3, 1, 2);
        HostTensor pixels = Planes.toChannelsLast(planes);
        assertEquals(Shape.of(1, 1, 2, 3), pixels.shape());
        assertArrayEquals(new float[] {1, 3, 5, 2, 4, 6}, pixels.values());
        assertArrayEquals(planes.values(), Planes.fromChannelsLast(pixels).values());
        HostTensor decoded = HostTensor.of("p", new float[] {-1, 0, 1, -3, 0.5f, 7}, 1, 1, 2, 3);
        assertArrayEquals(new float[] {0, 0, 0.5f, 0.75f, 1, 1}, Planes.unit(decoded).values());
    }

    @Test
    void thePeersLastLatentsBecomeThePeersPicture() throws IOException {
        Path model = Path.of("weights/tiny-klein/vae");
        try (CpuOps ops = new CpuOps(2); WeightSource weights = Safetensors.open(model.resolve("diffusion_pytorch_model.safetensors"));
                ReferenceCase reference = ReferenceCase.open(
                        Path.of("src/test/resources/reference/cases/pipeline-distilled.safetensors"))) {
            Vae vae = new Vae(weights, VaeConfig.from(new ObjectMapper().readTree(Files.readString(model.resolve("config.json")))), ops);
            HostTensor latents = new LatentPictures(vae).fromTokens(reference.values("step.3.latents"), 4, 6);
            HostTensor decoded = new VaeDecoding(ops, vae, Long.MAX_VALUE).decode(latents);
            float[] expected = Planes.fromChannelsLast(batch(reference.values("out.image"))).values();
            Difference difference = Difference.of(Planes.unit(decoded).values(), expected);
            assertTrue(difference.relativeL2() < 2e-6, difference.toString());
        }
    }

    private static HostTensor batch(HostTensor image) {
        return HostTensor.of(image.name(), image.values(), 1, image.shape().dim(0), image.shape().dim(1), image.shape().dim(2));
    }
}
