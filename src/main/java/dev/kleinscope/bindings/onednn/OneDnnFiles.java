package dev.kleinscope.bindings.onednn;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Function;

/**
 * Shared libraries of the class path, as files that the loader can open.
 *
 * @param parts the libraries, each after those it needs
 * @param source the content of a part by name, or null where the class path has none
 */
record OneDnnFiles(List<Part> parts, Function<String, InputStream> source) {

    private static final int BLOCK = 1 << 18;

    /**
     * A library.
     *
     * @param name of the file
     * @param sha256 of its content, in lower-case hexadecimal digits
     */
    record Part(String name, String sha256) {
    }

    /**
     * Puts every part into a folder, unless it is there already, undamaged.
     *
     * @return the files, in the order of the parts
     * @throws IOException if one cannot be had; the message says why in one sentence
     */
    List<Path> unpack(Path folder) throws IOException {
        List<Path> files = parts.stream().map(part -> folder.resolve(part.name)).toList();
        for (int i = 0; i < files.size(); i++) {
            if (!intact(files.get(i), parts.get(i).sha256)) {
                put(parts.get(i), files.get(i));
            }
        }
        return files;
    }

    private static boolean intact(Path file, String sha256) {
        if (!Files.isRegularFile(file)) {
            return false;
        }
        try (InputStream in = Files.newInputStream(file)) {
            return copy(in, OutputStream.nullOutputStream()).equals(sha256);
        } catch (IOException _) {
            // what cannot be read is replaced
            return false;
        }
    }

    private void put(Part part, Path file) throws IOException {
        try (InputStream in = source.apply(part.name)) {
            if (in == null) {
                throw new IOException(part.name + " is not in this Kleinscope, as in the minimal package");
            }
            Path partial = partial(file.getParent());
            try {
                String found;
                try (OutputStream out = Files.newOutputStream(partial)) {
                    found = copy(in, out);
                }
                if (!found.equals(part.sha256)) {
                    throw new IOException(part.name + " in the class path is not the one that this Kleinscope was made for: its SHA-256 "
                            + "should begin with " + part.sha256.substring(0, 8) + ", found " + found.substring(0, 8));
                }
                Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(partial);
            }
        }
    }

    private static Path partial(Path folder) throws IOException {
        try {
            Files.createDirectories(folder);
            return Files.createTempFile(folder, "partial", null);
        } catch (IOException e) {
            throw new IOException("the cache folder " + folder + " cannot be written (XDG_CACHE_HOME names another)", e);
        }
    }

    /** @return the SHA-256 of what was copied */
    private static String copy(InputStream in, OutputStream out) throws IOException {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java has SHA-256", e);
        }
        byte[] block = new byte[BLOCK];
        int count;
        while ((count = in.read(block)) >= 0) {
            digest.update(block, 0, count);
            out.write(block, 0, count);
        }
        return HexFormat.of().formatHex(digest.digest());
    }
}
