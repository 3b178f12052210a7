package dev.kleinscope.cli;

import dev.kleinscope.pipeline.intervene.InterventionGrammar;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.weights.Fingerprint;
import dev.kleinscope.weights.Safetensors;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Option;

/** What a command changes of the activations on the way. */
final class InterveneOptions {

    private static final int MOST_BYTES = 1 << 20;

    @Option(names = "--intervene", paramLabel = "CHANGE",
            description = "Change activations on the way; may be given several times, in order. POINTS:CHANGE[,RESTRICTION]..., for instance "
                    + "'transformer_blocks.4.img:scale=0.5,steps=0-1,tokens=0-63'. Changes: scale=F, zero, mean[=STREAM|FILE], add=FILE:TENSOR, "
                    + "remove=FILE:TENSOR, rotate=DEGREES, replace=FILE, noise=F. Restrictions: steps, pass, stream, tokens, channels, all from 0. "
                    + "src/docs/interventions.md tells all.")
    private List<String> changes = new ArrayList<>();

    @Option(names = "--interventions", paramLabel = "FILE", description = "The same from a text file, a change a line; # begins a comment.")
    private Path file;

    /**
     * Interventions, and the files that they read while the model runs.
     *
     * @param list in order
     * @param files open, by absolute path
     */
    record Opened(List<Intervention> list, Map<String, Safetensors> files) implements AutoCloseable {

        /** Nothing is changed. */
        static final Opened NONE = new Opened(List.of(), Map.of());

        /** Records them, if there are any, in the words of the options. */
        void record(Map<String, Object> parameters) {
            if (list.isEmpty()) {
                return;
            }
            parameters.put("interventions", list.stream().map(Intervention::toString).toList());
            if (!files.isEmpty()) {
                Map<String, String> fingerprints = new LinkedHashMap<>();
                files.forEach((path, opened) -> fingerprints.put(path, Fingerprint.of(opened)));
                parameters.put("intervention_files", fingerprints);
            }
        }

        @Override
        public void close() {
            files.values().forEach(Safetensors::close);
        }
    }

    boolean given() {
        return !changes.isEmpty() || file != null;
    }

    /** Takes up what an image's metadata recorded. */
    void restore(List<String> recorded) {
        changes = new ArrayList<>(recorded);
    }

    /** @throws UserInputException if one cannot be read or a file is missing; the caller closes what is returned */
    Opened open() {
        Map<String, Safetensors> files = new LinkedHashMap<>();
        InterventionGrammar grammar = new InterventionGrammar(
                path -> files.computeIfAbsent(absolute(path), opened -> Safetensors.open(Path.of(opened))), InterveneOptions::absolute);
        List<Intervention> list = new ArrayList<>();
        try {
            for (String change : file == null ? changes : withFile()) {
                list.add(grammar.parse(change));
            }
            return new Opened(List.copyOf(list), files);
        } catch (RuntimeException e) {
            files.values().forEach(Safetensors::close);
            throw e instanceof InterventionException ? new UserInputException("--intervene " + e.getMessage()) : e;
        }
    }

    private static String absolute(String path) {
        try {
            return Path.of(path).toAbsolutePath().normalize().toString();
        } catch (InvalidPathException e) {
            throw new InterventionException("\"" + path.replace('\0', '?') + "\" is no path of a file: " + e.getReason());
        }
    }

    private List<String> withFile() {
        // what tells no size of itself, such as a device, may never end
        try (InputStream in = Files.newInputStream(file)) {
            byte[] text = in.readNBytes(MOST_BYTES + 1);
            if (text.length > MOST_BYTES) {
                throw new UserInputException("--interventions " + file + " has more than " + MOST_BYTES + " bytes; it holds a change a line");
            }
            List<String> all = new ArrayList<>(new String(text, StandardCharsets.UTF_8).lines().map(line -> line.replaceFirst("#.*", "").strip())
                    .filter(line -> !line.isEmpty()).toList());
            all.addAll(changes);
            return all;
        } catch (IOException e) {
            throw new UncheckedIOException("--interventions " + file + " cannot be read: " + e.getMessage(), e);
        }
    }
}
