package dev.kleinscope.pipeline;

import dev.kleinscope.weights.ModelFiles;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.stream.Stream;

/** A copy of the bundled CLIP model that a test may damage. */
final class ClipFolder {

    static final Path BUNDLED = Path.of("weights/clip-tiny");

    private final Path folder;

    ClipFolder(Path folder) {
        this.folder = folder;
        try (Stream<Path> listing = Files.list(BUNDLED)) {
            List<Path> files = listing.toList();
            for (Path file : files) {
                Files.copy(file, folder.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    ClipFolder write(String file, String text) {
        try {
            Files.writeString(folder.resolve(file), text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return this;
    }

    ClipFolder replace(String file, String from, String to) {
        try {
            String text = Files.readString(folder.resolve(file));
            if (!text.contains(from)) {
                throw new IllegalArgumentException(file + " has no " + from);
            }
            return write(file, text.replace(from, to));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    ClipFolder delete(String file) {
        try {
            Files.delete(folder.resolve(file));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return this;
    }

    ModelFiles files() {
        return ModelFiles.resolve(folder.toString());
    }
}
