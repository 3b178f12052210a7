package dev.kleinscope.pipeline;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * What the first bytes of an image file claim, found without a decoder so that claims can be refused before one runs.
 *
 * @param format {@code png} or {@code jpeg}
 */
record ImageHeader(String format, long width, long height) {

    private static final byte[] PNG = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

    /** @throws ImageException if the bytes are neither a PNG nor an RGB or gray JPEG image */
    static ImageHeader of(Path file, byte[] bytes) {
        if (bytes.length == 0) {
            throw new ImageException(file + ": is empty, expected a PNG or JPEG image");
        }
        if (isPng(bytes)) {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            if (bytes.length < 33 || buffer.getInt(12) != 0x49484452) {
                throw new ImageException(file + ": PNG image without a header; fetch or save it again");
            }
            return new ImageHeader("png", Integer.toUnsignedLong(buffer.getInt(16)), Integer.toUnsignedLong(buffer.getInt(20)));
        }
        if (bytes.length > 2 && (bytes[0] & 0xff) == 0xff && (bytes[1] & 0xff) == 0xd8) {
            return jpeg(file, bytes);
        }
        throw new ImageException(file + ": is neither a PNG nor a JPEG image; convert it to one");
    }

    static boolean isPng(byte[] bytes) {
        return bytes.length >= PNG.length && Arrays.equals(bytes, 0, PNG.length, PNG, 0, PNG.length);
    }

    private static ImageHeader jpeg(Path file, byte[] bytes) {
        for (int at = 2; at + 4 <= bytes.length; ) {
            int marker = marker(bytes, at);
            if (marker < 0) {
                at++;
                continue;
            }
            int length = length(bytes, at);
            if (length < 2 || marker == 0xda) {
                break;
            }
            if (isFrame(marker) && at + 9 < bytes.length) {
                int components = bytes[at + 9] & 0xff;
                if (components == 4) {
                    throw new ImageException(file + ": is a CMYK JPEG image, whose colours depend on the printer; convert it to RGB");
                }
                ByteBuffer buffer = ByteBuffer.wrap(bytes);
                return new ImageHeader("jpeg", buffer.getShort(at + 7) & 0xffff, buffer.getShort(at + 5) & 0xffff);
            }
            at += 2 + length;
        }
        throw new ImageException(file + ": damaged or cut short JPEG image (no frame header); fetch or save it again");
    }

    /**
     * The bytes to decode. JPEG application segments other than JFIF's and Adobe's are left out: colour profiles, which
     * would be applied, and thumbnails and EXIF blocks, which would only be parsed.
     */
    byte[] decodable(byte[] bytes) {
        if (!format.equals("jpeg")) {
            return bytes;
        }
        ByteArrayOutputStream kept = new ByteArrayOutputStream(bytes.length);
        kept.write(bytes, 0, 2);
        int at = 2;
        while (at + 4 <= bytes.length) {
            int marker = marker(bytes, at);
            if (marker < 0) {
                at++;
                continue;
            }
            int length = length(bytes, at);
            if (marker == 0xda || at + 2 + length > bytes.length) {
                break;
            }
            boolean dropped = marker > 0xe0 && marker <= 0xef && marker != 0xee || marker == 0xfe;
            if (!dropped) {
                kept.write(bytes, at, 2 + length);
            }
            at += 2 + length;
        }
        kept.write(bytes, at, bytes.length - at);
        return kept.toByteArray();
    }

    /** The marker at a position, or -1 where there is none: fill bytes and strays may stand between segments. */
    private static int marker(byte[] bytes, int at) {
        int code = bytes[at + 1] & 0xff;
        return (bytes[at] & 0xff) == 0xff && code != 0xff && code != 0 ? code : -1;
    }

    private static int length(byte[] bytes, int at) {
        return (bytes[at + 2] & 0xff) << 8 | bytes[at + 3] & 0xff;
    }

    /** Start of frame: C0 to CF but for Huffman tables, reserved and arithmetic conditioning. */
    private static boolean isFrame(int marker) {
        return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    }
}
