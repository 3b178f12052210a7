package dev.kleinscope.cli;

import dev.kleinscope.weights.ModelFiles;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Which model a command runs. */
final class ModelOptions {

    private static final String BUNDLED = "weights/tiny-klein";
    private static final String BUNDLED_CLIP = "weights/clip-tiny";

    @Option(names = {"-m", "--model"}, paramLabel = "MODEL",
            description = "A model folder as diffusers writes it, a component's folder, a .safetensors file, or a name like "
                    + "black-forest-labs/FLUX.2-klein-4B in Hugging Face's cache. Default: the bundled miniature.")
    private String model;

    boolean given() {
        return model != null;
    }

    /** @throws dev.kleinscope.weights.ModelException if there is nothing usable */
    ModelFiles files() {
        return ModelFiles.resolve(name());
    }

    /** As the user gave it, or the bundled miniature's place. */
    String name() {
        return model != null ? model : bundled().toString();
    }

    /** As in {@link #name}, absolute where it is a path. */
    String absoluteName() {
        return Files.exists(Path.of(name())) ? Path.of(name()).toAbsolutePath().normalize().toString() : name();
    }

    /** Takes up what an image's metadata recorded. */
    void restore(String recorded) {
        model = recorded;
    }

    /** Folder of the bundled miniature. */
    static Path bundled() {
        Path folder = home().resolve(BUNDLED);
        if (!Files.isDirectory(folder)) {
            throw new UserInputException("the bundled model is not at " + folder + "; name one with --model");
        }
        return folder;
    }

    /** Folder of the bundled miniature CLIP model, or null where it was left out of a package. */
    static Path bundledClip() {
        Path folder = home().resolve(BUNDLED_CLIP);
        return Files.isDirectory(folder) ? folder : null;
    }

    private static Path home() {
        String home = System.getProperty("kleinscope.home");
        if (home != null) {
            return Path.of(home);
        }
        try {
            // target/kleinscope.jar or target/classes lie in the project's folder
            return Path.of(ModelOptions.class.getProtectionDomain().getCodeSource().getLocation().toURI()).getParent().getParent();
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }
}
