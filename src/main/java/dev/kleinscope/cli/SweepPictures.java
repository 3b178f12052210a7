package dev.kleinscope.cli;

import dev.kleinscope.analysis.Interpolation;
import dev.kleinscope.pipeline.Image8;
import dev.kleinscope.pipeline.ImageFile;
import dev.kleinscope.report.Thumbnail;
import java.awt.image.BufferedImage;
import java.nio.file.Path;

/**
 * A sweep's kept images, as its report and contact sheet take them.
 *
 * @param folder where the images lie
 */
record SweepPictures(Path folder) {

    /** The picture of a sample, or null if none was kept. */
    BufferedImage image(Interpolation.Sample sample) {
        if (sample.image() == null) {
            return null;
        }
        return buffered(ImageFile.read(folder.resolve(sample.image())));
    }

    /** As reports draw it. */
    static BufferedImage buffered(Image8 picture) {
        BufferedImage image = new BufferedImage(picture.width(), picture.height(), BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < picture.height(); y++) {
            for (int x = 0; x < picture.width(); x++) {
                image.setRGB(x, y, picture.at(x, y, 0) << 16 | picture.at(x, y, 1) << 8 | picture.at(x, y, 2));
            }
        }
        return image;
    }

    /** The picture of a sample as a small PNG, or null if none was kept. */
    byte[] thumbnail(Interpolation.Sample sample) {
        BufferedImage image = image(sample);
        return image == null ? null : Thumbnail.png(image);
    }
}
