package dev.kleinscope.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;

/**
 * Tells whether mapped files were written to since they were opened. A read beyond a file's new end stops the process, but not one
 * within its last page, nor one of bytes that were replaced: those would pass for weights.
 */
public final class FileStamps {

    private record Stamp(Path file, Object key, long size, FileTime written) {

        static Stamp of(Path file) throws IOException {
            BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
            return new Stamp(file, attributes.fileKey(), attributes.size(), attributes.lastModifiedTime());
        }
    }

    private final List<Stamp> stamps = new ArrayList<>();

    /** Notes the files of a source that was just opened. */
    public void add(WeightSource source) {
        for (Path file : source.files()) {
            try {
                stamps.add(Stamp.of(file));
            } catch (IOException _) {
                // no file stands behind random weights, and one that is gone can no longer be written to by its name
                continue;
            }
        }
    }

    /** @throws ModelException if one of the files was written to; one that was replaced or removed is still mapped as it was */
    public void requireUnchanged() {
        for (Stamp stamp : stamps) {
            Stamp now;
            try {
                now = Stamp.of(stamp.file);
            } catch (IOException _) {
                continue;
            }
            if (stamp.key != null && stamp.key.equals(now.key) && (stamp.size != now.size || !stamp.written.equals(now.written))) {
                throw new ModelException(stamp.file + " changed while it was in use: it had " + stamp.size + " bytes, written at "
                        + stamp.written + ", and has " + now.size + ", written at " + now.written
                        + "; leave the model folder alone during a run, and start again");
            }
        }
    }
}
