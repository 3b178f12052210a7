package dev.kleinscope.report;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.analysis.Interpolation.Drop;
import dev.kleinscope.analysis.Interpolation.Sample;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ContactSheetTest {

    private static final int DROP = 0xffc85400;
    private static final int BLUE = 0xff2040a0;

    @TempDir
    Path folder;

    static Stream<Face> faces() {
        return Stream.of(Face.available(), new BitmapFace());
    }

    @Test
    void seventeenAlphasTakeTwoLinesASeed() throws IOException {
        Path target = folder.resolve("sheet.png");
        ContactSheet.Outcome outcome = ContactSheet.write(target, sweep("a", "b", 17, 3, 8), blue());
        assertNotEquals(ContactSheet.Outcome.NO_IMAGES, outcome);
        BufferedImage sheet = ImageIO.read(target.toFile());
        SheetLayout layout = SheetLayout.of(17, 3, 2, 1);
        assertEquals(9, layout.columns());
        assertEquals(2, layout.lines());
        assertEquals(layout.width(), sheet.getWidth());
        assertEquals(layout.height(), sheet.getHeight());
        assertTrue(sheet.getWidth() >= 2100 && sheet.getWidth() <= 2160, sheet.getWidth() + " wide");
        for (int seed = 0; seed < 3; seed++) {
            for (int alpha = 0; alpha < 17; alpha++) {
                assertEquals(BLUE, at(sheet, layout.cellLeft(alpha) + 5, layout.cellTop(seed, alpha) + 5), alpha + " " + seed);
            }
        }
        assertEquals(0xffffffff, sheet.getRGB(2, 2));
    }

    @ParameterizedTest
    @MethodSource("faces")
    void theDropIsMarkedBetweenItsImagesAndNowhereElse(Face face) {
        BufferedImage sheet = ContactSheet.draw(sweep("a", "b", 5, 1, 2), blue(), face);
        SheetLayout layout = SheetLayout.of(5, 1, 2, 1);
        double middle = layout.cellTop(0, 0) + layout.cellHeight() / 2.0;
        for (int alpha = 1; alpha < 5; alpha++) {
            int found = at(sheet, layout.cellLeft(alpha) - layout.gap() / 2, middle);
            assertEquals(alpha == 2 ? DROP : 0xffffffff, found, "before image " + alpha);
        }
    }

    @Test
    void aDropFromOneLineToTheNextIsMarkedOnBoth() {
        BufferedImage sheet = ContactSheet.draw(sweep("a", "b", 10, 1, 5), blue(), Face.available());
        SheetLayout layout = SheetLayout.of(10, 1, 2, 1);
        assertEquals(5, layout.columns());
        double half = layout.cellHeight() / 2.0;
        assertEquals(DROP, at(sheet, layout.cellLeft(4) + layout.cellWidth() + layout.gap() / 2, layout.cellTop(0, 4) + half));
        assertEquals(DROP, at(sheet, layout.cellLeft(5) - layout.gap() / 2, layout.cellTop(0, 5) + half));
    }

    @ParameterizedTest
    @MethodSource("faces")
    void promptsChangeNothingBelowTheirLines(Face face) {
        BufferedImage tame = ContactSheet.draw(sweep("a", "b", 3, 1, 1), blue(), face);
        BufferedImage hostile = ContactSheet.draw(
                sweep(SampleNorms.HOSTILE, "w\u0301\u0316\u0316\u0316\u0316\u0316\u0316\u0316ord ".repeat(9_000), 3, 1, 1), blue(), face);
        assertEquals(tame.getHeight(), hostile.getHeight());
        int top = (int) SheetLayout.of(3, 1, 2, 1).seedTop(0) - 2;
        assertArrayEquals(pixels(tame, top, tame.getHeight()), pixels(hostile, top, tame.getHeight()));
        int[] prompts = pixels(hostile, 0, top);
        assertTrue(IntStream.of(prompts).filter(pixel -> pixel != 0xffffffff).count() > 2_000, "prompts were drawn");
        int width = hostile.getWidth();
        assertTrue(IntStream.range(0, prompts.length).filter(i -> i % width > width - 40).allMatch(i -> prompts[i] == 0xffffffff),
                "prompts stay within the margin");
    }

    @Test
    void withoutImagesThereIsNoSheet() throws IOException {
        Path target = folder.resolve("sheet.png");
        assertSame(ContactSheet.Outcome.NO_IMAGES, ContactSheet.write(target, sweep("a", "b", 3, 1, 1), _ -> null));
        assertTrue(Files.notExists(target));
    }

    @Test
    void aMissingImageLeavesItsPlaceAndEachIsAskedForOnce() {
        List<Double> asked = new ArrayList<>();
        BufferedImage sheet = ContactSheet.draw(sweep("a", "b", 3, 1, 2), sample -> {
            asked.add(sample.alpha());
            return sample.alpha() == 0.5 ? null : blue().apply(sample);
        }, Face.available());
        SheetLayout layout = SheetLayout.of(3, 1, 2, 1);
        assertEquals(List.of(0.0, 0.5, 1.0), asked);
        assertEquals(0xfff0f1f3, at(sheet, layout.cellLeft(1) + 9, layout.cellTop(0, 1) + 9));
        assertEquals(BLUE, at(sheet, layout.cellLeft(2) + 9, layout.cellTop(0, 2) + 9));
    }

    @Test
    void aFailureToReadAnImageKeepsTheFormerSheet() throws IOException {
        Path target = Files.writeString(folder.resolve("sheet.png"), "former");
        assertThrows(IllegalStateException.class, () -> ContactSheet.write(target, sweep("a", "b", 3, 1, 1), _ -> {
            throw new IllegalStateException("unreadable");
        }));
        assertEquals("former", Files.readString(target));
    }

    @Test
    void theSheetsMemoryIsBoundedHoweverManyImages() {
        for (int seeds : new int[] {1, 20, 1_000, 20_000}) {
            SheetLayout layout = SheetLayout.of(257, seeds, 3, 2);
            long pixels = (long) layout.width() * layout.height();
            assertTrue(pixels <= 37_000_000, seeds + " seeds: " + pixels + " pixels");
        }
    }

    @Test
    void promptsBecomeOnePlainLine() {
        assertEquals("a b c \u05e9\u05dc d\ufffd", ContactSheet.plain(" a\r\n\tb \u202e\u2066c\u0000\u2028 \u05e9\u05dc d\ud83d"));
    }

    @ParameterizedTest
    @MethodSource("faces")
    void longTextLosesItsMiddle(Face face) {
        String text = "beginning " + "middle ".repeat(3_000) + "end";
        String elided = face.elided(text, 32, 900);
        assertTrue(face.width(elided, 32, false) <= 900, elided);
        assertTrue(elided.startsWith("beginning") && elided.endsWith("end") && elided.contains(" \u2026 "), elided);
        assertEquals("short", face.elided("short", 32, 900));
    }

    @Test
    void alphasAreWrittenShort() {
        assertEquals(List.of("0", "0.5", "0.0625", "0.1111", "1"),
                Stream.of(0.0, 0.5, 0.0625, 1 / 9.0, 1.0).map(ContactSheet::alpha).toList());
    }

    private static Function<Sample, BufferedImage> blue() {
        return _ -> {
            BufferedImage image = new BufferedImage(30, 30, BufferedImage.TYPE_INT_RGB);
            image.setRGB(0, 0, 30, 30, IntStream.generate(() -> BLUE).limit(900).toArray(), 0, 30);
            return image;
        };
    }

    /** The score falls most before the image at {@code after}. */
    private static Interpolation sweep(String from, String to, int alphas, int seeds, int after) {
        List<Double> steps = IntStream.range(0, alphas).mapToObj(i -> (double) i / (alphas - 1)).toList();
        List<Sample> samples = LongStream.range(0, seeds).boxed().flatMap(seed -> steps.stream()
                .map(alpha -> new Sample(alpha, seed, null, 100, 1, 0.5, 6, null, null, null, null))).toList();
        List<Drop> drops = LongStream.range(0, seeds)
                .mapToObj(seed -> new Drop(seed, steps.get(after - 1), steps.get(after), 3.8)).toList();
        return new Interpolation("paired", from, to, steps, LongStream.range(0, seeds).boxed().toList(), samples, drops, null,
                Map.of(), "", List.of());
    }

    private static int at(BufferedImage sheet, double x, double y) {
        return sheet.getRGB((int) Math.round(x), (int) Math.round(y));
    }

    private static int[] pixels(BufferedImage sheet, int top, int bottom) {
        return sheet.getRGB(0, top, sheet.getWidth(), bottom - top, null, 0, sheet.getWidth());
    }
}
