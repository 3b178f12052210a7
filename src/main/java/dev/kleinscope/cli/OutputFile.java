package dev.kleinscope.cli;

import java.nio.file.Files;
import java.nio.file.Path;

/** A file that a command is told to write, checked before the run. */
final class OutputFile {

    private OutputFile() {
    }

    /**
     * Files are written beside their name and moved to it, which would put a regular file in a device's place: as root, that of
     * {@code /dev/null} for every program, or of the link {@code /dev/stdout}.
     *
     * @throws UserInputException if there is no folder to write it to, or something other than a regular file has its name
     */
    static void check(String option, Path file) {
        Path folder = file.toAbsolutePath().getParent();
        String wrong = Files.isDirectory(file) ? " is a folder; name a file"
                : folder == null || !Files.isDirectory(folder) ? ": there is no folder " + folder
                : Files.isSymbolicLink(file) ? " is a link; name the file that it leads to"
                : Files.exists(file) && !Files.isRegularFile(file) ? " is a device or a pipe; name a file" : null;
        if (wrong != null) {
            throw new UserInputException(option + " " + file + wrong);
        }
    }
}
