package dev.kleinscope.bindings.cuda;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Opens the CUDA libraries on first use; nothing is loaded when a binding class initialises.
 *
 * <p>Each is looked for in the folders of the system property {@code kleinscope.cuda.libs}, where the Maven profile
 * {@code cuda-redist} unpacks them, as the loader finds it, under {@code CUDA_HOME} and {@code CUDA_PATH}, in the system's folders,
 * and in the {@code nvidia} packages that pip installs.
 */
public final class NativeLibs {

    /** Folders to look in first, separated as in a class path. */
    public static final String FOLDERS_PROPERTY = "kleinscope.cuda.libs";

    private static final String HOME_PROPERTY = "kleinscope.home";

    /** Of Kleinscope's own folder: where a packed one would have them, and where the profile unpacks them. */
    private static final List<String> HOME_FOLDERS = List.of("lib/cuda", "target/cuda-redist");

    private static final Map<String, Names> NAMES = Map.of(
            "cuda-driver", new Names("the NVIDIA driver", List.of("libcuda.so.1", "libcuda.so"), ""),
            "nvrtc", new Names("NVRTC", List.of("libnvrtc.so.13"), "libnvrtc-builtins.so.13*"),
            "cublaslt", new Names("cuBLASLt", List.of("libcublasLt.so.13"), ""),
            "cublas", new Names("cuBLAS", List.of("libcublas.so.13"), "libcublasLt.so.13"),
            "cudnn", new Names("cuDNN", List.of("libcudnn.so.9"), "lib{cublasLt.so.13,cublas.so.13,nvrtc.so.13,cudnn_*.so.9}"));

    private static final Map<String, Search> SEARCHES = new ConcurrentHashMap<>();

    private NativeLibs() {
    }

    /**
     * @param files names to look for
     * @param companions a glob of what it opens by name alone, out of its own folder
     */
    private record Names(String title, List<String> files, String companions) {
    }

    /** Thrown when a CUDA library cannot be opened on this machine. */
    public static final class Unavailable extends UnsatisfiedLinkError {

        private static final long serialVersionUID = 1L;

        Unavailable(String message) {
            super(message);
        }
    }

    /**
     * What came of looking for a library.
     *
     * @param lookup its symbols, or null
     * @param file the file that was opened; empty if none
     * @param looked where it was looked for
     * @param failure what the loader said of a file that is there but cannot be opened; empty if nothing
     */
    public record Search(SymbolLookup lookup, String file, String looked, String failure) {

        public boolean found() {
            return lookup != null;
        }
    }

    public static boolean isAvailable(String library) {
        return search(library).found();
    }

    /** Why a library is not available, in one sentence. */
    public static String whyNot(String library) {
        Search search = search(library);
        String title = NAMES.get(library).title;
        return search.failure.isEmpty() ? title + " is not installed: no " + String.join(" or ", NAMES.get(library).files)
                + " where kleinscope doctor says that it looked" : title + " cannot be opened: " + search.failure;
    }

    /** A lookup that opens the library when its first symbol is asked for. */
    public static SymbolLookup lookup(String library) {
        return name -> {
            Search search = search(library);
            if (!search.found()) {
                throw new Unavailable(whyNot(library));
            }
            return search.lookup.find(name);
        };
    }

    /** Looks for a library, once. @param library {@code cuda-driver}, {@code cublaslt}, {@code cublas}, {@code cudnn} or {@code nvrtc} */
    public static Search search(String library) {
        return SEARCHES.computeIfAbsent(library, NativeLibs::open);
    }

    private static Search open(String library) {
        Names names = NAMES.get(library);
        List<String> files = names.files;
        StringBuilder failure = new StringBuilder();
        List<Path> given = given();
        given.forEach(folder -> openCompanions(names, folder));
        Search found = inFolders(files, given, failure);
        if (found != null) {
            return found;
        }
        for (String file : files) {
            try {
                SymbolLookup lookup = SymbolLookup.libraryLookup(file, Arena.global());
                return new Search(lookup, mapped(file), "", "");
            } catch (IllegalArgumentException _) {
                // not on the loader's path: the folders follow
            }
        }
        List<Path> folders = folders();
        found = inFolders(files, folders, failure);
        if (found != null) {
            return found;
        }
        List<String> all = new ArrayList<>(given.stream().map(Path::toString).toList());
        all.add("the loader's path");
        folders.forEach(folder -> all.add(folder.toString()));
        return new Search(null, "", String.join(" or ", files) + " in " + String.join(", ", all), failure.toString());
    }

    private static Search inFolders(List<String> files, List<Path> folders, StringBuilder failure) {
        for (String file : files) {
            for (Path folder : folders) {
                Path path = folder.resolve(file);
                if (Files.isRegularFile(path)) {
                    try {
                        return new Search(SymbolLookup.libraryLookup(path, Arena.global()), path.toString(), "", "");
                    } catch (IllegalArgumentException e) {
                        failure.append(failure.isEmpty() ? "" : "; ").append(path).append(": ").append(e.getMessage());
                    }
                }
            }
        }
        return null;
    }

    /**
     * Opens what a library will ask the loader for by name: the loader, which does not know the folder, takes what is open under that
     * name. They need each other too, so that some open only after others.
     */
    private static void openCompanions(Names names, Path folder) {
        List<Path> closed = new ArrayList<>();
        if (!names.companions.isEmpty() && names.files.stream().anyMatch(file -> Files.isRegularFile(folder.resolve(file)))) {
            closed.addAll(matching(folder, names.companions));
        }
        while (closed.removeIf(NativeLibs::opens)) {
            // those that failed for lack of these are tried again
        }
    }

    private static boolean opens(Path file) {
        try {
            SymbolLookup.libraryLookup(file, Arena.global());
            return true;
        } catch (IllegalArgumentException _) {
            return false;
        }
    }

    /** Where the loader found a library, as the system tells; the name itself where it does not. */
    private static String mapped(String file) {
        String stem = file.substring(0, file.indexOf(".so") + ".so".length());
        try (var lines = Files.lines(Path.of("/proc/self/maps"))) {
            return lines.map(line -> line.substring(line.indexOf('/') + 1)).filter(path -> path.contains("/" + stem))
                    .map(path -> "/" + path).findFirst().orElse(file);
        } catch (IOException | UncheckedIOException _) {
            return file;
        }
    }

    /** Folders that someone chose: by the property, or by unpacking libraries beside Kleinscope. */
    private static List<Path> given() {
        List<Path> folders = new ArrayList<>();
        for (String folder : System.getProperty(FOLDERS_PROPERTY, "").split(File.pathSeparator)) {
            if (!folder.isEmpty()) {
                folders.add(Path.of(folder).toAbsolutePath());
            }
        }
        String home = System.getProperty(HOME_PROPERTY);
        if (home != null) {
            HOME_FOLDERS.stream().map(folder -> Path.of(home).toAbsolutePath().resolve(folder)).filter(Files::isDirectory)
                    .forEach(folders::add);
        }
        return folders;
    }

    private static List<Path> folders() {
        Set<Path> folders = new LinkedHashSet<>();
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
            String home = System.getenv(variable);
            if (home != null && !home.isEmpty()) {
                folders.add(Path.of(home, "lib64"));
                folders.add(Path.of(home, "lib"));
            }
        }
        matching(Path.of("/usr/local"), "cuda*").forEach(cuda -> folders.add(cuda.resolve("lib64")));
        for (String folder : List.of("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/aarch64-linux-gnu", "/usr/lib/wsl/lib",
                "/usr/local/nvidia/lib64")) {
            folders.add(Path.of(folder));
        }
        for (Path packages : pythonPackages()) {
            matching(packages.resolve("nvidia"), "*").forEach(wheel -> folders.add(wheel.resolve("lib")));
        }
        return folders.stream().filter(Files::isDirectory).toList();
    }

    /** Where pip puts packages: virtual environments and conda's, then the user's, then the system's. */
    private static List<Path> pythonPackages() {
        List<Path> prefixes = new ArrayList<>();
        for (String variable : List.of("VIRTUAL_ENV", "CONDA_PREFIX")) {
            String prefix = System.getenv(variable);
            if (prefix != null && !prefix.isEmpty()) {
                prefixes.add(Path.of(prefix));
            }
        }
        prefixes.add(Path.of(System.getProperty("user.home"), ".local"));
        prefixes.add(Path.of("/usr/local"));
        prefixes.add(Path.of("/usr"));
        matching(Path.of("/opt"), "*").forEach(folder -> {
            prefixes.add(folder);
            prefixes.add(folder.resolve(".venv"));
            prefixes.add(folder.resolve("venv"));
        });
        List<Path> packages = new ArrayList<>();
        for (Path prefix : prefixes) {
            for (Path python : matching(prefix.resolve("lib"), "python3*")) {
                packages.add(python.resolve("site-packages"));
                packages.add(python.resolve("dist-packages"));
            }
        }
        return packages;
    }

    private static List<Path> matching(Path folder, String glob) {
        List<Path> found = new ArrayList<>();
        if (Files.isDirectory(folder)) {
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, glob)) {
                entries.forEach(found::add);
            } catch (IOException _) {
                // a folder that cannot be listed holds nothing to open
            }
        }
        found.sort(null);
        return found;
    }
}
