package dev.kleinscope.weights;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Opening files for reading, failures worded for people. */
final class FileOpening {

    private FileOpening() {
    }

    /** @throws ModelException unless {@code file} is a regular file (or a link to one) that may be read */
    static FileChannel open(Path file) {
        if (Files.isDirectory(file)) {
            throw new ModelException(file + " is a folder, expected a file");
        }
        if (Files.isSymbolicLink(file) && Files.notExists(file)) {
            throw new ModelException(file + " is a link to a file that is not there; download the model again");
        }
        if (Files.exists(file) && !Files.isRegularFile(file)) {
            throw new ModelException(file + " is neither a file nor a folder; give a regular file");
        }
        try {
            return FileChannel.open(file, StandardOpenOption.READ);
        } catch (IOException e) {
            throw failure(file, e);
        }
    }

    static ModelException failure(Path file, IOException e) {
        if (e instanceof NoSuchFileException) {
            return new ModelException(file + " does not exist; check the path", e);
        }
        if (e instanceof AccessDeniedException) {
            return new ModelException(file + " may not be read; check its permissions", e);
        }
        return new ModelException(file + " could not be read: " + reason(e), e);
    }

    static String reason(IOException e) {
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }
}
