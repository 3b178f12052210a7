package dev.kleinscope.report;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;

/** Writes a file whole or not at all: a reader never sees half a report, and a failure keeps the former file. */
final class AtomicFile {

    /** What the file is to hold. */
    @FunctionalInterface
    interface Content {
        void writeTo(Writer out) throws IOException;
    }

    /** The same in bytes. */
    @FunctionalInterface
    interface Bytes {
        void writeTo(OutputStream out) throws IOException;
    }

    private AtomicFile() {
    }

    /** As {@link #writeBytes}, for text in UTF-8. */
    static void write(Path target, Content content) {
        writeBytes(target, bytes -> {
            Writer out = new BufferedWriter(new OutputStreamWriter(bytes, StandardCharsets.UTF_8), 1 << 16);
            content.writeTo(out);
            out.flush();
        });
    }

    /**
     * Writes beside the target under another name and then moves it into place.
     *
     * @param target replaced if it exists; its folder must exist
     * @param content what is written, unbuffered
     * @throws UncheckedIOException naming the target; nothing is left behind then
     */
    static void writeBytes(Path target, Bytes content) {
        // Not Files.createTempFile, whose files only their owner can read: the name would change, the rights would stay.
        Path temporary = target.resolveSibling(".kleinscope-" + UUID.randomUUID() + ".tmp");
        try {
            try (OutputStream out = Files.newOutputStream(temporary, StandardOpenOption.CREATE_NEW,
                    StandardOpenOption.WRITE)) {
                content.writeTo(out);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw failure(target, e);
        } catch (UncheckedIOException e) {
            throw failure(target, e.getCause());
        } finally {
            discard(temporary);
        }
    }

    private static UncheckedIOException failure(Path target, IOException cause) {
        String reason = switch (cause) {
            case NoSuchFileException _ -> "its folder does not exist; create it first";
            case AccessDeniedException _ -> "its folder may not be written to; choose another";
            default -> deepest(cause).getMessage();
        };
        return new UncheckedIOException(target + ": cannot be written: " + reason, cause);
    }

    /** What the system said: a picture's writer wraps it in a sentence of its own. */
    private static Throwable deepest(Throwable cause) {
        return cause.getCause() == null ? cause : deepest(cause.getCause());
    }

    private static void discard(Path temporary) {
        try {
            Files.deleteIfExists(temporary);
        } catch (IOException _) {
            // The failure that left the file is already on its way to the caller and says more.
        }
    }
}
