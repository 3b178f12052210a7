package dev.kleinscope.weights;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Hugging Face's cache of downloaded models, read only.
 *
 * <p>Source: huggingface_hub, "Understand caching": {@code models--ORG--NAME/refs/main} names a folder under {@code snapshots}.
 */
final class HubCache {

    private static final Pattern ID = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}");
    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");
    private static final int MAX_REF_BYTES = 200;

    private final Path root;

    /** @param environment looked up for HF_HUB_CACHE and HF_HOME; unset and empty are the same */
    HubCache(Map<String, String> environment, Path home) {
        String cache = environment.getOrDefault("HF_HUB_CACHE", "");
        String hfHome = environment.getOrDefault("HF_HOME", "");
        if (!cache.isEmpty()) {
            root = expand(cache, home);
        } else if (!hfHome.isEmpty()) {
            root = expand(hfHome, home).resolve("hub");
        } else {
            root = home.resolve(".cache/huggingface/hub");
        }
    }

    private static Path expand(String path, Path home) {
        return path.startsWith("~/") ? home.resolve(path.substring(2)) : Path.of(path);
    }

    /** Whether a text has the form ORG/NAME, with no character that could lead elsewhere. */
    static boolean isId(String text) {
        return ID.matcher(text).matches() && !text.contains("..") && !text.contains("--");
    }

    /** The folder of the latest downloaded snapshot. @throws ModelException if it was never downloaded, or not completely */
    Path snapshot(String id) {
        if (!isId(id)) {
            throw new IllegalArgumentException(Text.quote(id) + " is not of the form ORG/NAME");
        }
        Path model = root.resolve("models--" + id.replace("/", "--"));
        if (!Files.isDirectory(model)) {
            throw new ModelException(id + " is neither a path nor in the hub's cache " + root
                    + "; download it with 'hf download " + id
                    + "', or give its folder");
        }
        Path reference = model.resolve("refs").resolve("main");
        String commit;
        try (InputStream stream = Files.newInputStream(reference)) {
            commit = new String(stream.readNBytes(MAX_REF_BYTES), StandardCharsets.ISO_8859_1).strip();
        } catch (IOException e) {
            throw FileOpening.failure(reference, e);
        }
        Path snapshot = model.resolve("snapshots").resolve(COMMIT.matcher(commit).matches() ? commit : "-");
        if (!Files.isDirectory(snapshot)) {
            throw new ModelException(reference + ": expected the name of a folder under snapshots, found "
                    + Text.quote(commit)
                    + "; download it again with 'hf download " + id + "'");
        }
        return snapshot;
    }
}
