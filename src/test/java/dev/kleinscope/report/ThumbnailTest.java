package dev.kleinscope.report;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;

class ThumbnailTest {

    @Test
    void aPixelIsTheMeanOfItsAreaInLinearLight() {
        BufferedImage board = board(64, 64);
        BufferedImage small = Thumbnail.fitted(board, 7, 7);
        // Half the light of white is level 188.
        assertEquals(188, small.getRGB(3, 3) & 0xff, 3);
        assertEquals(0xffbcbcbc, Thumbnail.fitted(board, 8, 8).getRGB(5, 2));
    }

    @Test
    void proportionsAreKeptAndNoSideVanishes() {
        BufferedImage small = Thumbnail.fitted(board(300, 200), 192, 192);
        assertEquals(192, small.getWidth());
        assertEquals(128, small.getHeight());
        assertEquals(1, Thumbnail.fitted(board(5000, 2), 100, 100).getHeight());
    }

    @Test
    void enlargedPixelsStaySquares() {
        BufferedImage large = Thumbnail.fitted(board(2, 2), 8, 8);
        for (int y = 0; y < 8; y++) {
            for (int x = 0; x < 8; x++) {
                assertEquals((x / 4 + y / 4) % 2 == 0 ? 0xffffffff : 0xff000000, large.getRGB(x, y), x + " " + y);
            }
        }
    }

    @Test
    void aReportsPicturesAreNeverEnlargedAndNeverOver192() throws IOException {
        assertEquals(20, read(board(20, 10)).getWidth());
        assertEquals(10, read(board(20, 10)).getHeight());
        assertEquals(192, read(board(100, 1000)).getHeight());
        assertEquals(19, read(board(100, 1000)).getWidth());
    }

    private static BufferedImage read(BufferedImage image) throws IOException {
        return ImageIO.read(new ByteArrayInputStream(Thumbnail.png(image)));
    }

    private static BufferedImage board(int width, int height) {
        BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_3BYTE_BGR);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                image.setRGB(x, y, (x + y) % 2 == 0 ? 0xffffff : 0);
            }
        }
        return image;
    }
}
