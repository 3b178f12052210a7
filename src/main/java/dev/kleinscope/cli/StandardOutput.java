package dev.kleinscope.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;

/**
 * The process's standard output, which remembers that it could not be written. {@link System#out} would pass over it, and a result on a
 * full disk be cut short without a word.
 */
final class StandardOutput extends OutputStream {

    private final OutputStream out = new FileOutputStream(FileDescriptor.out);
    private String failure;

    @Override
    public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int from, int count) throws IOException {
        try {
            out.write(bytes, from, count);
        } catch (IOException e) {
            String reason = String.valueOf(e.getMessage());
            // a reader such as head has enough, and says so by going away
            if (failure == null && !reason.contains("Broken pipe")) {
                failure = reason;
            }
            throw e;
        }
    }

    /** The system's reason, or null if all was written or the reader went away. */
    String failure() {
        return failure;
    }
}
