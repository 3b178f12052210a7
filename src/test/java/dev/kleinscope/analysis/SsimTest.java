package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.pipeline.Image8;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SsimTest {

    @Test
    void anImageIsEqualToItself() {
        assertEquals(1, Ssim.of(noise(40, 30, 1), noise(40, 30, 1)), 1e-12);
        assertEquals(1, Ssim.of(noise(3, 1, 1), noise(3, 1, 1)), 1e-12);
    }

    @Test
    void independentNoiseHasNothingInCommon() {
        assertTrue(Math.abs(Ssim.of(noise(80, 80, 1), noise(80, 80, 2))) < 0.1);
    }

    @Test
    void aConstantShiftCostsAsThePaperSays() {
        Image8 dark = flat(100);
        Image8 light = flat(150);
        double c1 = Math.pow(0.01 * 255, 2);
        assertEquals((2 * 100.0 * 150 + c1) / (100.0 * 100 + 150.0 * 150 + c1), Ssim.of(dark, light), 1e-9);
    }

    @Test
    void imagesOfDifferentSizesAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> Ssim.of(noise(10, 10, 1), noise(10, 11, 1)));
    }

    private static Image8 flat(int level) {
        Image8 image = Image8.black(20, 20);
        java.util.Arrays.fill(image.rgb(), (byte) level);
        return image;
    }

    private static Image8 noise(int width, int height, long seed) {
        Image8 image = Image8.black(width, height);
        new Random(seed).nextBytes(image.rgb());
        return image;
    }
}
