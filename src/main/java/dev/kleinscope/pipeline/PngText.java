package dev.kleinscope.pipeline;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/** Text entries of PNG files. Source: PNG specification (third edition), 11.3.3: tEXt, zTXt, iTXt. */
final class PngText {

    private static final int SIGNATURE_BYTES = 8;
    /** Length, type and CRC around a chunk's content. */
    private static final int FRAME_BYTES = 12;
    private static final int IHDR_END = SIGNATURE_BYTES + FRAME_BYTES + 13;
    private static final int MAX_TEXT_BYTES = 1 << 20;

    private PngText() {
    }

    /** The file with entries after its header: tEXt where Latin-1 holds the text, as Pillow writes it, else iTXt. */
    static byte[] insert(Path file, byte[] png, Map<String, String> text) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(png.length + 1024);
        out.write(png, 0, IHDR_END);
        text.forEach((keyword, value) -> {
            checkKeyword(file, keyword);
            ByteArrayOutputStream content = new ByteArrayOutputStream();
            content.writeBytes(keyword.getBytes(StandardCharsets.ISO_8859_1));
            content.write(0);
            // tEXt has no room for NUL
            boolean latin = StandardCharsets.ISO_8859_1.newEncoder().canEncode(value) && value.indexOf('\0') < 0;
            if (latin) {
                content.writeBytes(value.getBytes(StandardCharsets.ISO_8859_1));
            } else {
                content.writeBytes(new byte[4]);
                content.writeBytes(value.getBytes(StandardCharsets.UTF_8));
            }
            out.writeBytes(chunk(latin ? "tEXt" : "iTXt", content.toByteArray()));
        });
        out.write(png, IHDR_END, png.length - IHDR_END);
        return out.toByteArray();
    }

    private static void checkKeyword(Path file, String keyword) {
        boolean printable = keyword.chars().allMatch(c -> c >= 0x20 && c <= 0x7e || c >= 0xa1 && c <= 0xff);
        if (keyword.isEmpty() || keyword.length() > 79 || !printable || !keyword.equals(keyword.strip())) {
            throw new ImageException(file + ": \"" + keyword
                    + "\" cannot be a PNG keyword, which is 1 to 79 printable Latin-1 characters without outer spaces");
        }
    }

    private static byte[] chunk(String type, byte[] content) {
        byte[] chunk = new byte[content.length + FRAME_BYTES];
        ByteBuffer buffer = ByteBuffer.wrap(chunk).putInt(content.length);
        buffer.put(type.getBytes(StandardCharsets.US_ASCII)).put(content);
        CRC32 crc = new CRC32();
        crc.update(chunk, 4, content.length + 4);
        buffer.putInt((int) crc.getValue());
        return chunk;
    }

    static Map<String, String> read(Path file, byte[] png) {
        if (!ImageHeader.isPng(png)) {
            throw new ImageException(file + ": is not a PNG image, so it carries no text entries");
        }
        Map<String, String> entries = new LinkedHashMap<>();
        ByteBuffer buffer = ByteBuffer.wrap(png);
        int at = SIGNATURE_BYTES;
        while (png.length - at >= FRAME_BYTES) {
            int length = buffer.getInt(at);
            if (length < 0 || length > png.length - at - FRAME_BYTES) {
                break;
            }
            String type = new String(png, at + 4, 4, StandardCharsets.ISO_8859_1);
            if (type.equals("tEXt") || type.equals("zTXt") || type.equals("iTXt")) {
                add(entries, type, png, at + 8, at + 8 + length);
            }
            at += FRAME_BYTES + length;
        }
        return entries;
    }

    private static void add(Map<String, String> entries, String type, byte[] png, int from, int to) {
        int keywordEnd = zero(png, from, to);
        if (keywordEnd < 0) {
            return;
        }
        int start = keywordEnd + 1;
        boolean compressed = type.equals("zTXt");
        Charset charset = StandardCharsets.ISO_8859_1;
        if (compressed) {
            start++;
        } else if (type.equals("iTXt")) {
            charset = StandardCharsets.UTF_8;
            compressed = start < to && png[start] != 0;
            int languageEnd = zero(png, start + 2, to);
            int translationEnd = languageEnd < 0 ? -1 : zero(png, languageEnd + 1, to);
            if (translationEnd < 0) {
                return;
            }
            start = translationEnd + 1;
        }
        byte[] text = text(png, start, to, compressed);
        if (text != null) {
            entries.put(new String(png, from, keywordEnd - from, StandardCharsets.ISO_8859_1), new String(text, charset));
        }
    }

    private static int zero(byte[] bytes, int from, int to) {
        for (int i = from; i < to; i++) {
            if (bytes[i] == 0) {
                return i;
            }
        }
        return -1;
    }

    /** The text's bytes, or null if they are damaged or too many. */
    private static byte[] text(byte[] png, int from, int to, boolean compressed) {
        if (from > to || to - from > MAX_TEXT_BYTES) {
            return null;
        }
        if (!compressed) {
            return Arrays.copyOfRange(png, from, to);
        }
        try (Inflater inflater = new Inflater()) {
            inflater.setInput(png, from, to - from);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            byte[] buffer = new byte[8192];
            while (!inflater.finished() && out.size() <= MAX_TEXT_BYTES) {
                int count = inflater.inflate(buffer);
                if (count == 0 && (inflater.needsInput() || inflater.needsDictionary())) {
                    return null;
                }
                out.write(buffer, 0, count);
            }
            return out.size() <= MAX_TEXT_BYTES ? out.toByteArray() : null;
        } catch (DataFormatException e) {
            return null;
        }
    }
}
