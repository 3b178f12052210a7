package dev.kleinscope.weights;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Locale;

/** Recognises what is often found in place of a safetensors file. */
final class ForeignFormat {

    /** Bytes at the start of a file that {@link #of} wants to see. */
    static final int PREFIX_BYTES = 64;

    private static final String CONVERT =
            "; load it in Python and write it with safetensors.torch.save_file, or download the .safetensors file";

    private ForeignFormat() {
    }

    /** What the file is and what to do about it, to follow the file's name in a message; null if it is nothing known. */
    static String of(byte[] prefix) {
        String text = new String(prefix, StandardCharsets.ISO_8859_1);
        if (text.startsWith("version https://git-lfs")) {
            return "is a Git LFS pointer, not the weights themselves; fetch them with 'git lfs pull'";
        }
        if (text.startsWith("PK\003\004") || !safetensors(text) && (text.startsWith("\200\002") || text.startsWith("\200\004"))) {
            return "is a pickled PyTorch checkpoint, which can run code and is never loaded" + CONVERT;
        }
        if (text.startsWith("GGUF")) {
            return "is a GGUF file, whose quantised weights are not supported; use the BF16 .safetensors file";
        }
        String lower = text.stripLeading().toLowerCase(Locale.ROOT);
        if (lower.startsWith("<!doctype") || lower.startsWith("<html") || lower.startsWith("<?xml")) {
            return "is a web page, not weights: the download failed, perhaps for want of a login; download it again";
        }
        return null;
    }

    /** A header of 640 bytes, say, has a length that begins like a pickle. */
    private static boolean safetensors(String text) {
        return text.length() > Long.BYTES && text.charAt(Long.BYTES) == '{' && text.startsWith("\0\0\0\0", Long.BYTES - 4);
    }

    /** As {@link #of(byte[])}, judged by the file's name. */
    static String of(Path file) {
        String name = String.valueOf(file.getFileName()).toLowerCase(Locale.ROOT);
        if (name.endsWith(".gguf")) {
            return of("GGUF".getBytes(StandardCharsets.ISO_8859_1));
        }
        boolean pickle = name.endsWith(".bin") || name.endsWith(".ckpt") || name.endsWith(".pt") || name.endsWith(".pth");
        return pickle ? of("PK\003\004".getBytes(StandardCharsets.ISO_8859_1)) : null;
    }
}
