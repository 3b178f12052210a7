package dev.kleinscope.analysis;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.ImageFile;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

class ImageMetricsTest {

    private static final int SIZE = 128;

    /** Disks and bars of several colours on a gradient: edges in all directions, no noise. */
    private static Image8 sharp() {
        Image8 image = Image8.black(SIZE, SIZE);
        for (int y = 0, at = 0; y < SIZE; y++) {
            for (int x = 0; x < SIZE; x++) {
                boolean disk = Math.hypot(x % 32 - 16, y % 32 - 16) < 10;
                boolean bar = (x + 2 * y) % 48 < 8;
                image.rgb()[at++] = (byte) (disk ? 220 : x);
                image.rgb()[at++] = (byte) (bar ? 200 : 60 + y / 2);
                image.rgb()[at++] = (byte) (disk && bar ? 30 : 90 + (x + y) / 4);
            }
        }
        return image;
    }

    private static Image8 blurred(Image8 image) {
        Image8 result = image;
        for (int round = 0; round < 3; round++) {
            Image8 next = Image8.black(SIZE, SIZE);
            for (int y = 0, at = 0; y < SIZE; y++) {
                for (int x = 0; x < SIZE; x++) {
                    for (int c = 0; c < 3; c++) {
                        int sum = 0;
                        for (int dy = -2; dy <= 2; dy++) {
                            for (int dx = -2; dx <= 2; dx++) {
                                sum += result.at(Math.clamp(x + dx, 0, SIZE - 1), Math.clamp(y + dy, 0, SIZE - 1), c);
                            }
                        }
                        next.rgb()[at++] = (byte) ((sum + 12) / 25);
                    }
                }
            }
            result = next;
        }
        return result;
    }

    private static Image8 noised(Image8 image, double sigma) {
        Random random = new Random(11);
        Image8 result = Image8.black(image.width(), image.height());
        for (int i = 0; i < image.rgb().length; i++) {
            result.rgb()[i] = (byte) (int) Math.clamp(Math.rint((image.rgb()[i] & 0xff) + sigma * random.nextGaussian()), 0, 255);
        }
        return result;
    }

    private static Image8 flat(int width, int height, int value) {
        Image8 image = Image8.black(width, height);
        Arrays.fill(image.rgb(), (byte) value);
        return image;
    }

    private static Path path(String name) {
        try {
            return Path.of(ImageMetricsTest.class.getResource("/reference/cases/" + name).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalArgumentException(name, e);
        }
    }

    @Test
    void laplacianVarianceIsThatOfOpenCv() {
        JsonNode cases = new ObjectMapper().readTree(path("image-metrics.json"));
        assertEquals(4, cases.size());
        for (JsonNode c : cases) {
            double expected = c.get("laplacian_variance").asDouble();
            double actual = ImageMetrics.of(ImageFile.read(path(c.get("image").asString()))).laplacianVariance();
            assertEquals(expected, actual, expected * 1e-9, c.get("image").asString());
        }
    }

    /** Expected values: cv2.Laplacian(gray, CV_64F).var() of bytes (37 i + 11) mod 256, OpenCV 5.0. */
    @ParameterizedTest
    @CsvSource({"1,1,0", "5,1,24152.16", "1,5,24152.16", "2,2,44822", "4,3,128981.40972222223"})
    void laplacianVarianceMirrorsAboutTheBorderOfTinyImages(int width, int height, double expected) {
        Image8 image = Image8.black(width, height);
        for (int i = 0; i < image.rgb().length; i++) {
            image.rgb()[i] = (byte) (37 * i + 11);
        }
        assertEquals(expected, ImageMetrics.of(image).laplacianVariance(), expected * 1e-12);
    }

    @Test
    void blurMovesEachMeasureAsStated() {
        ImageMetrics sound = ImageMetrics.of(sharp());
        ImageMetrics blurred = ImageMetrics.of(blurred(sharp()));
        assertTrue(blurred.laplacianVariance() < sound.laplacianVariance() / 10, blurred.toString());
        assertTrue(blurred.noiseSigma() < sound.noiseSigma() / 2, blurred.toString());
        assertTrue(blurred.blur() > 0.6 && sound.blur() < 0.3, blurred + " " + sound);
        assertTrue(blurred.colourEntropy() > sound.colourEntropy() - 0.5, blurred.toString());
    }

    @Test
    void noiseMovesEachMeasureAsStated() {
        ImageMetrics sound = ImageMetrics.of(sharp());
        ImageMetrics noised = ImageMetrics.of(noised(sharp(), 25));
        assertTrue(noised.laplacianVariance() > sound.laplacianVariance() * 2, noised.toString());
        assertTrue(noised.noiseSigma() > sound.noiseSigma() * 2, noised.toString());
        assertTrue(noised.blur() < 0.3, noised.toString());
        assertTrue(noised.colourEntropy() > sound.colourEntropy() + 1, noised.toString());
    }

    @Test
    void aFlatImageIsZeroButForItsBlur() {
        assertEquals(new ImageMetrics(0, 0, 1, 0), ImageMetrics.of(flat(SIZE, SIZE, 77)));
    }

    @Test
    void aFewFlatColoursShowInTheEntropyThoughEdgesRemain() {
        Image8 image = sharp();
        for (int i = 0; i < image.rgb().length; i++) {
            image.rgb()[i] = (byte) (image.at(i / 3 % SIZE, i / 3 / SIZE, 0) < 128 ? 0 : 255);
        }
        ImageMetrics collapsed = ImageMetrics.of(image);
        assertTrue(collapsed.colourEntropy() <= 1, collapsed.toString());
        assertTrue(collapsed.laplacianVariance() > ImageMetrics.of(sharp()).laplacianVariance(), collapsed.toString());
    }

    @ParameterizedTest
    @ValueSource(doubles = {2, 5, 10, 20})
    void noiseOnAFlatImageIsMeasuredAsItIs(double sigma) {
        Image8 image = flat(200, 200, 128);
        Random random = new Random(5);
        for (int i = 0; i < image.rgb().length; i += 3) {
            Arrays.fill(image.rgb(), i, i + 3, (byte) (int) Math.rint(128 + sigma * random.nextGaussian()));
        }
        assertEquals(sigma, ImageMetrics.of(image).noiseSigma(), 0.05 * sigma);
    }

    @Test
    void aStepEdgeLosesAllButANinthToTheAverageOfNine() {
        Image8 image = Image8.black(40, 6);
        for (int i = 0; i < image.rgb().length; i++) {
            image.rgb()[i] = (byte) (i / 3 % 40 < 20 ? 0 : 255);
        }
        assertEquals(1.0 / 9, ImageMetrics.of(image).blur(), 1e-12);
    }

    @Test
    void twoEquallyFrequentColoursAreOneBit() {
        Image8 image = Image8.black(4, 2);
        Arrays.fill(image.rgb(), 0, 12, (byte) 200);
        assertEquals(1, ImageMetrics.of(image).colourEntropy(), 1e-12);
    }

    @ParameterizedTest
    @CsvSource({"1,1", "1,2", "2,1", "1,50", "50,1", "2,2", "2,30", "3,3"})
    void tinyImagesGiveFiniteMeasures(int width, int height) {
        for (Image8 image : new Image8[] {flat(width, height, 255), noised(flat(width, height, 100), 40)}) {
            ImageMetrics m = ImageMetrics.of(image);
            for (double value : new double[] {m.laplacianVariance(), m.noiseSigma(), m.blur(), m.colourEntropy()}) {
                assertTrue(Double.isFinite(value) && value >= 0, m.toString());
            }
            assertTrue(m.blur() <= 1 && m.colourEntropy() <= 12, m.toString());
        }
    }
}
