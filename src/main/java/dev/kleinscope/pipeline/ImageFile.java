package dev.kleinscope.pipeline;

import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.ComponentColorModel;
import java.awt.image.DataBuffer;
import java.awt.image.DataBufferByte;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.awt.image.WritableRaster;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.ImageWriter;
import javax.imageio.stream.MemoryCacheImageInputStream;
import javax.imageio.stream.MemoryCacheImageOutputStream;

/**
 * Reading PNG and JPEG files, which are untrusted, and writing PNG files.
 *
 * <p>Pixels come out as Pillow's {@code Image.open(file).convert("RGB")} gives them: alpha and transparency are dropped,
 * palettes looked up, the upper byte taken of 16 bits, colour profiles and EXIF orientation left alone. One difference:
 * of 16-bit gray Pillow makes white wherever the value exceeds 255; here it is the upper byte like all else.
 */
public final class ImageFile {

    private static final long MAX_FILE_BYTES = 1L << 29;

    private ImageFile() {
    }

    /**
     * @throws ImageException if the file is missing, not a PNG or JPEG image, damaged, cut short, CMYK, or larger than
     *     {@link Image8} may be; sizes are checked before pixels are decoded
     */
    public static Image8 read(Path file) {
        byte[] bytes = load(file);
        ImageHeader header = ImageHeader.of(file, bytes);
        if (!Image8.allowed(header.width(), header.height())) {
            throw new ImageException(file + ": " + Image8.refusal(header.width(), header.height()));
        }
        try {
            return decode(file, header, bytes);
        } catch (OutOfMemoryError e) {
            throw new ImageException(file + ": an image of " + header.width() + "x" + header.height()
                    + " pixels does not fit into memory; give Java more (-Xmx) or shrink the image", e);
        }
    }

    private static Image8 decode(Path file, ImageHeader header, byte[] bytes) {
        String format = header.format();
        Iterator<ImageReader> readers = ImageIO.getImageReadersByFormatName(format);
        if (!readers.hasNext()) {
            throw new ImageException(file + ": this Java runtime lacks its own " + format + " reader");
        }
        ImageReader reader = readers.next();
        List<String> warnings = new ArrayList<>();
        try (var stream = new MemoryCacheImageInputStream(new ByteArrayInputStream(header.decodable(bytes)))) {
            reader.setInput(stream, true, true);
            reader.addIIOReadWarningListener((source, warning) -> warnings.add(warning));
            if (reader.getWidth(0) != header.width() || reader.getHeight(0) != header.height()) {
                throw new IOException("contradictory sizes");
            }
            BufferedImage image = reader.read(0);
            for (String warning : warnings) {
                if (warning.contains("Premature") || warning.contains("Corrupt") || warning.contains("Truncated")) {
                    throw new IOException(warning);
                }
            }
            return pixels(image);
        } catch (IOException | RuntimeException e) {
            throw new ImageException(file + ": damaged or cut short " + format.toUpperCase(Locale.ROOT)
                    + " image (" + reason(e) + "); fetch or save it again", e);
        } finally {
            reader.dispose();
        }
    }

    private static String reason(Exception e) {
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }

    /** Samples as stored, so that no colour profile comes between. */
    private static Image8 pixels(BufferedImage image) {
        Raster raster = image.getRaster();
        Image8 result = Image8.black(image.getWidth(), image.getHeight());
        byte[] rgb = result.rgb();
        int bands = raster.getNumBands();
        int shift = raster.getTransferType() == DataBuffer.TYPE_USHORT ? 8 : 0;
        IndexColorModel palette = image.getColorModel() instanceof IndexColorModel model ? model : null;
        int[] row = new int[image.getWidth() * bands];
        int out = 0;
        for (int y = 0; y < image.getHeight(); y++) {
            raster.getPixels(raster.getMinX(), raster.getMinY() + y, image.getWidth(), 1, row);
            for (int at = 0; at < row.length; at += bands) {
                if (palette != null) {
                    int index = row[at];
                    rgb[out++] = (byte) palette.getRed(index);
                    rgb[out++] = (byte) palette.getGreen(index);
                    rgb[out++] = (byte) palette.getBlue(index);
                } else {
                    boolean gray = bands < 3;
                    rgb[out++] = (byte) (row[at] >> shift);
                    rgb[out++] = (byte) (row[gray ? at : at + 1] >> shift);
                    rgb[out++] = (byte) (row[gray ? at : at + 2] >> shift);
                }
            }
        }
        return result;
    }

    /**
     * Writes an 8-bit RGB PNG with text entries, whole or not at all: the file appears under its name when complete.
     *
     * @param text keywords (1 to 79 Latin-1 characters) and any Unicode text
     * @throws ImageException if the file cannot be written or a keyword is not allowed
     */
    public static void writePng(Path file, Image8 image, Map<String, String> text) {
        byte[] png = PngText.insert(file, encode(file, image), text);
        Path folder = file.toAbsolutePath().getParent();
        Path part = folder.resolve("." + file.getFileName() + "." + UUID.randomUUID() + ".part");
        try {
            try {
                Files.write(part, png, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
                Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } finally {
                Files.deleteIfExists(part);
            }
        } catch (IOException e) {
            throw new ImageException(file + ": could not be written (" + (e instanceof FileSystemException failed && failed.getReason() != null
                    ? failed.getReason() : e instanceof NoSuchFileException ? "no file can be made there" : e.getMessage()) + ")", e);
        }
    }

    private static byte[] encode(Path file, Image8 image) {
        ColorModel model = new ComponentColorModel(ColorSpace.getInstance(ColorSpace.CS_sRGB), false, false,
                ColorModel.OPAQUE, DataBuffer.TYPE_BYTE);
        WritableRaster raster = Raster.createInterleavedRaster(new DataBufferByte(image.rgb(), image.rgb().length),
                image.width(), image.height(), 3 * image.width(), 3, new int[] {0, 1, 2}, null);
        ImageWriter writer = ImageIO.getImageWritersByFormatName("png").next();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (var stream = new MemoryCacheImageOutputStream(bytes)) {
            writer.setOutput(stream);
            writer.write(new IIOImage(new BufferedImage(model, raster, false, null), null, null));
        } catch (IOException e) {
            throw new ImageException(file + ": could not be encoded (" + e + ")", e);
        } finally {
            writer.dispose();
        }
        return bytes.toByteArray();
    }

    /**
     * The text entries of a PNG file in their order (of equal keywords the last); entries that are damaged or over a
     * mebibyte when unpacked are left out.
     *
     * @throws ImageException if the file cannot be read or is not a PNG file
     */
    public static Map<String, String> readPngText(Path file) {
        return PngText.read(file, load(file));
    }

    private static byte[] load(Path file) {
        try {
            if (Files.exists(file) && !Files.isRegularFile(file)) {
                throw new ImageException(file + ": is a folder or a device, expected a PNG or JPEG image");
            }
            long size = Files.size(file);
            if (size > MAX_FILE_BYTES) {
                throw new ImageException(file + ": " + size + " bytes are more than an image file may have ("
                        + MAX_FILE_BYTES + ")");
            }
            try (var in = Files.newInputStream(file)) {
                return in.readNBytes((int) MAX_FILE_BYTES);
            }
        } catch (OutOfMemoryError e) {
            throw new ImageException(file + ": does not fit into memory; give Java more (-Xmx) or shrink the image", e);
        } catch (NoSuchFileException e) {
            throw new ImageException(file + ": no such image file", e);
        } catch (IOException e) {
            throw new ImageException(file + ": could not be read (" + e + ")", e);
        }
    }
}
