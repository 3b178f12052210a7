package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.HostTensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

class ResizeTest {

    private static final ClipPixels CLIP = new ClipPixels(56, 56, 56, new float[] {0.48145466f, 0.4578275f, 0.40821073f},
            new float[] {0.26862954f, 0.26130258f, 0.27577711f});

    private static Image8 caseImage(String name) {
        return ImageFile.read(Resources.path("reference/cases/" + name));
    }

    private static Image8 synthetic(int width, int height) {
        Image8 image = Image8.black(width, height);
        for (int y = 0, at = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                for (int c = 0; c < 3; c++) {
                    image.rgb()[at++] = (byte) (x * 7 + y * 13 + ((x * y) >> 3) + c * 40);
                }
            }
        }
        return image;
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3})
    void clipPixelsAreThoseOfTransformers(int index) {
        float[] expected = Resources.tensor("reference/cases/clip.safetensors", index + ".pixel_values");
        HostTensor actual = CLIP.pixelValues(caseImage("image-" + index + ".png"));
        assertEquals("[1, 3, 56, 56]", actual.shape().toString());
        assertArrayEquals(expected, actual.values());
    }

    @Test
    void lanczosIsThatOfPillow() {
        for (JsonNode c : Resources.json("images/pillow.json").get("lanczos")) {
            if (!c.has("reference")) {
                Image8 actual = PillowResize.lanczos(caseImage(c.get("image").asString()), c.get("width").asInt(),
                        c.get("height").asInt());
                assertEquals(c.get("crc32").asLong(), Resources.crc32(actual), c.toString());
            }
        }
    }

    @Test
    void referenceImagesAreShrunkAndCroppedAsPillowDoes() {
        int checked = 0;
        for (JsonNode c : Resources.json("images/pillow.json").get("lanczos")) {
            if (c.has("reference")) {
                HostTensor actual = ReferenceImage.prepare(synthetic(c.get("sourceWidth").asInt(), c.get("sourceHeight").asInt()));
                assertArrayEquals(new long[] {1, 3, c.get("height").asLong(), c.get("width").asLong()}, actual.shape().dims());
                float[] unit = new float[actual.values().length];
                for (int i = 0; i < unit.length; i++) {
                    unit[i] = (actual.values()[i] + 1) / 2;
                }
                Image8 image = Image8.ofUnit(new HostTensor("back", actual.shape(), unit));
                assertEquals(c.get("crc32").asLong(), Resources.crc32(image), c.toString());
                checked++;
            }
        }
        assertEquals(3, checked);
    }

    @Test
    void smallReferenceImagesAreOnlyCropped() {
        Image8 image = caseImage("refimage.png");
        HostTensor actual = ReferenceImage.prepare(image);
        assertEquals("[1, 3, 80, 112]", actual.shape().toString());
        // 121 x 90 less 112 x 80 leaves 4 on the left (of 9) and 5 above
        assertEquals(image.at(4, 5, 1) / 255f * 2 - 1, actual.values()[80 * 112], 1e-7f);
        assertEquals(image.at(4 + 111, 5 + 79, 2) / 255f * 2 - 1, actual.values()[3 * 80 * 112 - 1], 1e-7f);
    }

    @Test
    void referenceImagesTooSmallOrTooLongAreRefused() {
        assertTrue(assertThrows(ImageException.class, () -> ReferenceImage.prepare(Image8.black(63, 100)))
                .getMessage().contains("63x100"));
        assertTrue(assertThrows(ImageException.class, () -> ReferenceImage.prepare(Image8.black(801, 100)))
                .getMessage().contains("801x100"));
        assertEquals("[1, 3, 96, 800]", ReferenceImage.prepare(Image8.black(800, 100)).shape().toString());
    }

    @Test
    void resizingToTheSameSizeChangesNothing() {
        Image8 image = caseImage("image-2.png");
        assertEquals(image, PillowResize.lanczos(image, 56, 56));
        assertEquals(image, TorchResize.bicubic(image, 56, 56));
    }

    @Test
    void flatImagesStayFlatAtAnySize() {
        for (int value : new int[] {0, 1, 127, 254, 255}) {
            Image8 image = Image8.black(17, 9);
            Arrays.fill(image.rgb(), (byte) value);
            for (int[] size : new int[][] {{1, 1}, {3, 40}, {200, 2}, {17, 100}}) {
                for (Image8 resized : new Image8[] {PillowResize.lanczos(image, size[0], size[1]),
                        TorchResize.bicubic(image, size[0], size[1])}) {
                    for (byte b : resized.rgb()) {
                        assertEquals(value, b & 0xff);
                    }
                }
            }
        }
    }

    @Test
    void onePixelBecomesAClipInput() {
        Image8 image = Image8.black(1, 1);
        image.rgb()[0] = (byte) 255;
        float[] values = CLIP.pixelValues(image).values();
        assertEquals((1 - 0.48145466f) / 0.26862954f, values[56 * 56 - 1], 1e-5f);
        assertEquals(-0.40821073f / 0.27577711f, values[3 * 56 * 56 - 1], 1e-5f);
    }

    @Test
    void imagesSmallerThanTheCropArePaddedWithBlack() {
        ClipPixels wide = new ClipPixels(3, 6, 6, new float[3], new float[] {1, 1, 1});
        Image8 white = Image8.black(3, 3);
        Arrays.fill(white.rgb(), (byte) 255);
        float[] values = wide.pixelValues(white).values();
        // of three lines of padding the first gets one, as transformers' (6 - 3) // 2
        assertArrayEquals(new float[] {0, 1, 1, 1, 0, 0}, Arrays.copyOfRange(values, 6, 12));
        assertArrayEquals(new float[6], Arrays.copyOfRange(values, 0, 6));
        assertArrayEquals(new float[6], Arrays.copyOfRange(values, 24, 30));
    }

    @Test
    void elongatedImagesAreRefusedBeforeAllocation() {
        var e = assertThrows(ImageException.class, () -> CLIP.pixelValues(Image8.black(1, 65_535)));
        assertTrue(e.getMessage().contains("1x65535"), e.getMessage());
        assertThrows(IllegalArgumentException.class, () -> PillowResize.lanczos(Image8.black(1, 65_535), 65_535, 1));
        assertThrows(IllegalArgumentException.class, () -> PillowResize.lanczos(Image8.black(4, 4), 0, 1));
    }

    @Test
    void clipSettingsThatCannotBeAreRefused() {
        float[] ones = {1, 1, 1};
        assertThrows(IllegalArgumentException.class, () -> new ClipPixels(0, 5, 5, ones, ones));
        assertThrows(IllegalArgumentException.class, () -> new ClipPixels(5, 5, 5, ones, new float[3]));
        assertThrows(IllegalArgumentException.class, () -> new ClipPixels(5, 5, 5, new float[2], ones));
        assertThrows(IllegalArgumentException.class, () -> new ClipPixels(5, 5, 5, new float[] {1, Float.NaN, 1}, ones));
    }
}
