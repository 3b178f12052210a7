package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.tensor.HostTensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

class ImageFileTest {

    @TempDir
    Path folder;

    static Stream<String> pngs() {
        return Resources.json("images/pillow.json").get("files").propertyNames().stream().filter(n -> n.endsWith(".png"));
    }

    static Stream<String> jpegs() {
        return Resources.json("images/pillow.json").get("files").propertyNames().stream().filter(n -> n.endsWith(".jpg"));
    }

    @ParameterizedTest
    @MethodSource("pngs")
    void everyKindOfPngReadsAsPillowConvertsIt(String name) {
        JsonNode expected = Resources.json("images/pillow.json").get("files").get(name);
        Image8 image = ImageFile.read(Resources.path("images/" + name));
        assertEquals(expected.get("width").asInt(), image.width());
        assertEquals(expected.get("height").asInt(), image.height());
        assertEquals(expected.get("crc32").asLong(), Resources.crc32(image), name + ": first bytes "
                + HexFormat.of().formatHex(Arrays.copyOf(image.rgb(), Math.min(12, image.rgb().length))));
    }

    @ParameterizedTest
    @MethodSource("jpegs")
    void jpegsReadAsPillowDecodesThemWhateverTheirProfileOrOrientation(String name) {
        JsonNode expected = Resources.json("images/pillow.json").get("files").get(name);
        Image8 image = ImageFile.read(Resources.path("images/" + name));
        assertEquals(expected.get("width").asInt(), image.width());
        assertEquals(expected.get("height").asInt(), image.height());
        assertEquals(expected.get("crc32").asLong(), Resources.crc32(image), name);
    }

    @Test
    void cmykIsRefusedByName() {
        assertRefused(Resources.path("images/cmyk.jpg"), "CMYK");
    }

    @Test
    void whatIsNoImageIsRefusedByName() throws IOException {
        assertRefused(file("empty.png"), "empty");
        assertRefused(file("text.png", "not an image".getBytes()), "neither a PNG nor a JPEG");
        assertRefused(folder.resolve("absent.png"), "no such image");
        assertRefused(folder, "folder");
        assertRefused(file("start.jpg", (byte) 0xff, (byte) 0xd8), "neither");
        assertRefused(file("start2.jpg", (byte) 0xff, (byte) 0xd8, (byte) 0xff, (byte) 0xd9), "JPEG");
    }

    @Test
    void aHeaderThatClaimsBillionsOfPixelsIsRefusedBeforeDecoding() throws IOException {
        byte[] png = Files.readAllBytes(Resources.path("images/rgb.png"));
        for (int[] size : new int[][] {{40_000, 25_000}, {-1, -1}, {65_536, 1}, {0, 5}, {10_001, 10_000}}) {
            ByteBuffer.wrap(png).putInt(16, size[0]).putInt(20, size[1]);
            CRC32 crc = new CRC32();
            crc.update(png, 12, 17);
            ByteBuffer.wrap(png).putInt(29, (int) crc.getValue());
            assertRefused(file("bomb.png", png), Integer.toUnsignedString(size[0]) + "x" + Integer.toUnsignedString(size[1]));
        }
        byte[] jpeg = Files.readAllBytes(Resources.path("images/jpeg.jpg"));
        int frame = frame(jpeg);
        ByteBuffer.wrap(jpeg).putShort(frame + 5, (short) 60_000).putShort(frame + 7, (short) 50_000);
        assertRefused(file("bomb.jpg", jpeg), "50000x60000");
    }

    private static int frame(byte[] jpeg) {
        for (int at = 0; at < jpeg.length; at++) {
            if ((jpeg[at] & 0xff) == 0xff && (jpeg[at + 1] & 0xff) == 0xc0) {
                return at;
            }
        }
        throw new AssertionError("no frame header");
    }

    @ParameterizedTest
    @ValueSource(strings = {"rgb.png", "interlaced.png", "palette2.png", "jpeg.jpg", "jpeg-progressive.jpg"})
    void aFileCutShortAnywhereIsRefusedUnlessNoPixelIsMissing(String name) throws IOException {
        byte[] bytes = Files.readAllBytes(Resources.path("images/" + name));
        Image8 whole = ImageFile.read(Resources.path("images/" + name));
        int refused = 0;
        for (int length = 0; length < bytes.length; length += 1 + length / 64) {
            Path cut = file("cut", Arrays.copyOf(bytes, length));
            try {
                assertEquals(whole, ImageFile.read(cut), name + " cut to " + length + " bytes");
            } catch (ImageException e) {
                assertTrue(e.getMessage().contains("cut"), e.getMessage());
                refused++;
            }
        }
        assertTrue(refused > 20, "refused only " + refused);
    }

    @Test
    void damagedFilesNeverThrowAnythingElse() throws IOException {
        Random random = new Random(3);
        int refused = 0;
        for (Path file : Stream.concat(pngs(), jpegs()).map(n -> Resources.path("images/" + n)).toList()) {
            byte[] bytes = Files.readAllBytes(file);
            for (int round = 0; round < 20; round++) {
                byte[] damaged = bytes.clone();
                for (int i = 0; i < 1 + round % 4; i++) {
                    damaged[random.nextInt(damaged.length)] = (byte) random.nextInt();
                }
                Path path = file("damaged", damaged);
                try {
                    ImageFile.read(path);
                } catch (ImageException e) {
                    assertTrue(e.getMessage().startsWith(path.toString()), e.getMessage());
                    refused++;
                }
                if (ImageHeader.isPng(damaged)) {
                    ImageFile.readPngText(path);
                }
            }
        }
        assertTrue(refused > 50, "refused only " + refused);
    }

    @ParameterizedTest
    @ValueSource(strings = {"1x1", "1x300", "300x1", "17x31"})
    void whatIsWrittenReadsBack(String size) {
        String[] sides = size.split("x");
        Image8 image = Image8.black(Integer.parseInt(sides[0]), Integer.parseInt(sides[1]));
        new Random(1).nextBytes(image.rgb());
        Path file = folder.resolve("deep.name.png");
        ImageFile.writePng(file, image, Map.of());
        assertEquals(image, ImageFile.read(file));
        assertEquals(Map.of(), ImageFile.readPngText(file));
    }

    @Test
    void writingReplacesTheOldFileAndLeavesNothingElse() throws IOException {
        Path file = file("image.png", "old".getBytes());
        ImageFile.writePng(file, Image8.black(2, 2), Map.of());
        assertEquals(Image8.black(2, 2), ImageFile.read(file));
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(file), files.toList());
        }
    }

    @Test
    void aFailedWriteNamesTheFileAndLeavesNothing() throws IOException {
        Path absent = folder.resolve("absent").resolve("image.png");
        assertTrue(assertThrows(ImageException.class, () -> ImageFile.writePng(absent, Image8.black(1, 1), Map.of()))
                .getMessage().contains("absent"));
        Path occupied = Files.createDirectories(folder.resolve("occupied.png").resolve("inner")).getParent();
        assertThrows(ImageException.class, () -> ImageFile.writePng(occupied, Image8.black(1, 1), Map.of()));
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(List.of(occupied), files.toList());
        }
    }

    @Test
    void theSameImageIsTheSameBytes() throws IOException {
        Path first = folder.resolve("a.png");
        Path second = folder.resolve("b.png");
        Map<String, String> text = new LinkedHashMap<>(Map.of("prompt", "x"));
        ImageFile.writePng(first, Image8.black(9, 9), text);
        ImageFile.writePng(second, Image8.black(9, 9), text);
        assertEquals(-1, Files.mismatch(first, second));
    }

    @Test
    void anyTextReadsBackInOrder() {
        Map<String, String> text = new LinkedHashMap<>();
        text.put("prompt", "ein Bär, señor");
        text.put("Title", "\u4e16\u754c \ud83d\ude42\nzweite Zeile");
        text.put("empty", "");
        text.put("nul", "a\0b");
        text.put("controls", "tab\tand\u0085more");
        Path file = folder.resolve("text.png");
        ImageFile.writePng(file, Image8.black(3, 2), text);
        assertEquals(text, ImageFile.readPngText(file));
        assertEquals(List.copyOf(text.keySet()), List.copyOf(ImageFile.readPngText(file).keySet()));
        assertEquals(Image8.black(3, 2), ImageFile.read(file));
    }

    @Test
    void pillowsTextEntriesAreRead() {
        Map<String, String> expected = Map.of("prompt", "a cat", "Title", "Gr\u00fc\u00dfe, \u4e16\u754c \ud83d\ude42",
                "zipped", "long ".repeat(50), "zippedi", "\u00e9\u4e16".repeat(40));
        assertEquals(expected, ImageFile.readPngText(Resources.path("images/pil-text.png")));
    }

    @Test
    void keywordsThatPngForbidsAreRefused() {
        for (String keyword : List.of("", "x".repeat(80), "a\0b", "\u4e16", " padded", "line\nbreak")) {
            assertThrows(ImageException.class,
                    () -> ImageFile.writePng(folder.resolve("k.png"), Image8.black(1, 1), Map.of(keyword, "v")));
        }
        assertFalse(Files.exists(folder.resolve("k.png")));
    }

    @Test
    void textEntriesOfAJpegAreAnError() {
        assertThrows(ImageException.class, () -> ImageFile.readPngText(Resources.path("images/jpeg.jpg")));
    }

    @Test
    void unitValuesRoundToTheNearestLevelAndClamp() {
        float[] planes = {0, 1, -3, 7, 0.5f, 0.4980392f, Float.NaN, 1e-9f, 0.999f, 0.25f, 0.75f, 0.1f};
        Image8 image = Image8.ofUnit(HostTensor.of("x", planes, 1, 3, 2, 2));
        assertEquals(List.of(0, 128, 255), List.of(image.at(0, 0, 0), image.at(0, 0, 1), image.at(0, 0, 2)));
        assertEquals(List.of(255, 127, 64), List.of(image.at(1, 0, 0), image.at(1, 0, 1), image.at(1, 0, 2)));
        assertEquals(List.of(0, 0, 191), List.of(image.at(0, 1, 0), image.at(0, 1, 1), image.at(0, 1, 2)));
        assertThrows(IllegalArgumentException.class, () -> Image8.ofUnit(HostTensor.of("x", new float[4], 1, 1, 2, 2)));
    }

    private Path file(String name, byte... bytes) throws IOException {
        return Files.write(folder.resolve(name), bytes);
    }

    private static void assertRefused(Path file, String reason) {
        String message = assertThrows(ImageException.class, () -> ImageFile.read(file)).getMessage();
        assertTrue(message.startsWith(file.toString()) && message.contains(reason), message);
    }
}
