package dev.kleinscope.pipeline;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.util.Utils;
import dev.kleinscope.weights.ModelException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The native tokenizer, bound from DJL. Left alone, DJL reports each use to its makers and fetches a CUDA build where it
 * sees a GPU; {@link #prepare} must run before the first use of a class of theirs and turns both off.
 */
public final class TokenizerLibrary {

    private static final Map<String, String> OFFLINE =
            Map.of("ai.djl.offline", "true", "OPT_OUT_TRACKING", "true", "RUST_FLAVOR", "cpu");

    /** DJL lets these variables of the environment overrule the properties that {@link #prepare} sets. */
    private static final Map<String, String> OVERRULING =
            Map.of("DJL_OFFLINE", "true", "OPT_OUT_TRACKING", "true", "RUST_FLAVOR", "cpu");

    private static Path cache;

    private TokenizerLibrary() {}

    /**
     * Makes DJL keep to this machine, and to Kleinscope's cache folder.
     *
     * @return the folder that the native library is unpacked in
     * @throws ModelException if the environment tells DJL otherwise
     */
    public static synchronized Path prepare() {
        if (cache == null) {
            refuseOverrulingEnvironment(System.getenv());
            OFFLINE.forEach(System::setProperty);
            cache = writableCache(cacheFolder(System.getenv(), System.getProperty("user.home")));
            System.setProperty("DJL_CACHE_DIR", cache.toString());
            System.setProperty("ENGINE_CACHE_DIR", cache.toString());
        }
        return cache;
    }

    /**
     * Unpacks and links the native library.
     *
     * @return the file that was loaded
     * @throws ModelException if there is none for this machine
     */
    public static Path load() {
        prepare();
        Path folder = Utils.getEngineCacheDir("tokenizers");
        try {
            LibUtils.checkStatus();
        } catch (RuntimeException | LinkageError e) {
            throw new ModelException("the tokenizer library does not load from " + folder + ": " + e.getMessage(), e);
        }
        String file = System.mapLibraryName("tokenizers");
        try (Stream<Path> unpacked = Files.walk(folder)) {
            return unpacked.filter(path -> path.endsWith(file)).findFirst().orElse(folder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Kleinscope's folder among the user's caches: {@code $XDG_CACHE_HOME/kleinscope}, or that of {@code ~/.cache}. */
    public static Path cacheFolder() {
        return cacheFolder(System.getenv(), System.getProperty("user.home"));
    }

    static Path cacheFolder(Map<String, String> environment, String home) {
        String caches = environment.getOrDefault("XDG_CACHE_HOME", "");
        // the XDG base directory specification has relative paths ignored
        boolean given = !caches.isEmpty() && Path.of(caches).isAbsolute();
        return (given ? Path.of(caches) : Path.of(home, ".cache")).resolve("kleinscope");
    }

    static void refuseOverrulingEnvironment(Map<String, String> environment) {
        Map<String, String> contrary = new LinkedHashMap<>();
        OVERRULING.forEach((name, value) -> {
            String found = environment.get(name);
            if (found != null && !found.equalsIgnoreCase(value)) {
                contrary.put(name, found);
            }
        });
        if (environment.containsKey("RUST_LIBRARY_PATH")) {
            contrary.put("RUST_LIBRARY_PATH", environment.get("RUST_LIBRARY_PATH"));
        }
        if (!contrary.isEmpty()) {
            throw new ModelException("the environment has " + contrary
                    + ", with which the tokenizer library would leave this machine or its own build: unset it");
        }
    }

    /** The folder itself if it can be written, else one of this run's own that goes with it. */
    static Path writableCache(Path folder) {
        try {
            Files.createDirectories(folder);
            if (Files.isWritable(folder)) {
                return folder;
            }
        } catch (IOException _) {
            // a read-only or absent home is no reason to fail
        }
        try {
            Path temporary = Files.createTempDirectory("kleinscope-cache-");
            Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(temporary)));
            return temporary;
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "neither " + folder + " nor " + System.getProperty("java.io.tmpdir") + " can be written", e);
        }
    }

    private static void delete(Path folder) {
        try (Stream<Path> paths = Files.walk(folder)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(path);
            }
        } catch (IOException _) {
            // the system's own sweep of temporary files gets the rest
        }
    }
}
