package dev.kleinscope.pipeline.intervene;

import dev.kleinscope.probe.Change;
import dev.kleinscope.probe.Direction;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Ranges;
import dev.kleinscope.probe.TokenStream;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.Safetensors;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * Interventions as a line of text: {@code POINTS:CHANGE[=VALUE][,KEY=VALUE]...}, for instance
 * {@code transformer_blocks.4.img:scale=0.5,steps=0-1,tokens=0-63}. POINTS are globs with spaces between.
 *
 * <p>Changes: {@code scale=F}, {@code zero}, {@code mean[=STREAM|FILE]}, {@code add=FILE[:TENSOR][,strength=F]},
 * {@code remove=FILE[:TENSOR][,strength=F]}, {@code rotate=DEGREES[,seed=N]}, {@code rotate=DEGREES,plane=FILE:TENSOR+TENSOR},
 * {@code replace=FILE}, {@code noise=F[,absolute][,seed=N]}. Restrictions: {@code steps}, {@code tokens} and {@code channels} (ranges
 * such as {@code 0-3+8}), {@code pass} (cond or uncond), {@code stream}. A file's name may hold no comma.
 */
public final class InterventionGrammar {

    private static final Set<String> RESTRICTIONS = Set.of("steps", "tokens", "channels", "pass", "stream");
    private static final Map<String, Set<String>> CHANGES = Map.of("scale", Set.of(), "zero", Set.of(), "mean", Set.of(), "add",
            Set.of("strength"), "remove", Set.of("strength"), "rotate", Set.of("seed", "plane"), "replace", Set.of(), "noise",
            Set.of("absolute", "seed"));
    private static final long MOST_CHANNELS = 1 << 20;

    private final Function<String, Safetensors> files;
    private final Function<String, String> names;

    /**
     * @param files opens a file by the name that is written; whoever made this closes them
     * @param names what records call it
     */
    public InterventionGrammar(Function<String, Safetensors> files, Function<String, String> names) {
        this.files = files;
        this.names = names;
    }

    /** @throws InterventionException telling what was expected */
    public Intervention parse(String text) {
        int colon = text.indexOf(':');
        if (colon < 1 || text.length() > 4096) {
            throw new InterventionException("\"" + shortened(text) + "\" is no intervention; expected POINTS:CHANGE, such as "
                    + "transformer_blocks.4.img:scale=0.5,steps=0-1");
        }
        List<String> points = Arrays.stream(text.substring(0, colon).strip().split("\\s+")).toList();
        Map<String, String> entries = new LinkedHashMap<>();
        for (String entry : text.substring(colon + 1).split(",", -1)) {
            String[] parts = entry.strip().split("=", 2);
            if (entries.put(parts[0], parts.length == 2 ? parts[1] : "") != null) {
                throw failure(text, parts[0] + " stands twice");
            }
        }
        String kind = entries.keySet().iterator().next();
        if (!CHANGES.containsKey(kind)) {
            throw failure(text, "expected a change after the colon, one of " + CHANGES.keySet().stream().sorted().toList() + ", found \""
                    + shortened(kind) + "\"");
        }
        entries.keySet().stream().skip(1).filter(key -> !RESTRICTIONS.contains(key) && !CHANGES.get(kind).contains(key)).findFirst()
                .ifPresent(key -> {
                    throw failure(text, kind + " takes no \"" + shortened(key) + "\"");
                });
        try {
            String pass = entries.get("pass");
            return new Intervention(points, change(kind, entries), ranges(entries, "steps"), pass == null ? null : pass(pass),
                    entries.containsKey("stream") ? TokenStream.of(entries.get("stream")) : TokenStream.ALL, ranges(entries, "tokens"),
                    ranges(entries, "channels"));
        } catch (InterventionException e) {
            throw failure(text, e.getMessage());
        }
    }

    private Change change(String kind, Map<String, String> entries) {
        String value = entries.get(kind);
        return switch (kind) {
            case "scale" -> new Change.Scale(number(kind, value));
            case "zero" -> {
                if (!value.isEmpty()) {
                    throw new InterventionException("zero takes no value");
                }
                yield new Change.Zero();
            }
            case "mean" -> mean(value);
            case "add" -> new Change.Add(direction(value), strength(entries));
            case "remove" -> new Change.Remove(direction(value), strength(entries));
            case "rotate" -> rotate(number(kind, value), entries);
            case "replace" -> new Change.Replace(new DumpFile(open(value), names.apply(value)));
            default -> new Change.Noise(number(kind, value), absolute(entries), seed(entries));
        };
    }

    private Change mean(String value) {
        if (value.isEmpty()) {
            return new Change.Mean(null, null);
        }
        return Arrays.stream(TokenStream.values()).anyMatch(stream -> stream.label().equals(value))
                ? new Change.Mean(TokenStream.of(value), null) : new Change.Mean(null, new DumpFile(open(value), names.apply(value)));
    }

    private Change rotate(double degrees, Map<String, String> entries) {
        String plane = entries.get("plane");
        if (plane == null) {
            return new Change.TurnPairs(degrees, seed(entries));
        }
        int colon = plane.lastIndexOf(':');
        int plus = plane.lastIndexOf('+');
        if (colon < 1 || plus < colon || entries.containsKey("seed")) {
            throw new InterventionException("plane: expected FILE:TENSOR+TENSOR and no seed, found \"" + shortened(plane) + "\"");
        }
        String file = plane.substring(0, colon + 1);
        return new Change.Turn(direction(plane.substring(0, plus)), direction(file + plane.substring(plus + 1)), degrees);
    }

    private static boolean absolute(Map<String, String> entries) {
        String value = entries.getOrDefault("absolute", null);
        if (value != null && !value.isEmpty()) {
            throw new InterventionException("absolute takes no value");
        }
        return value != null;
    }

    private static double strength(Map<String, String> entries) {
        return entries.containsKey("strength") ? number("strength", entries.get("strength")) : 1;
    }

    private static long seed(Map<String, String> entries) {
        String seed = entries.getOrDefault("seed", "1");
        if (!seed.matches("-?[0-9]{1,18}")) {
            throw new InterventionException("seed: expected a whole number, found \"" + shortened(seed) + "\"");
        }
        return Long.parseLong(seed);
    }

    private static Pass pass(String label) {
        return Arrays.stream(Pass.values()).filter(pass -> pass.label().equals(label)).findFirst()
                .orElseThrow(() -> new InterventionException("pass: expected cond or uncond, found \"" + shortened(label) + "\""));
    }

    private static Ranges ranges(Map<String, String> entries, String key) {
        try {
            return entries.containsKey(key) ? Ranges.parse(entries.get(key)) : Ranges.ALL;
        } catch (InterventionException e) {
            throw new InterventionException(key + ": " + e.getMessage());
        }
    }

    private static double number(String key, String value) {
        double number = Double.NaN;
        try {
            number = Double.parseDouble(value);
        } catch (NumberFormatException _) {
            // reported below
        }
        if (!Double.isFinite(number)) {
            throw new InterventionException(key + ": expected a number, found \"" + shortened(value) + "\"");
        }
        return number;
    }

    /** {@code FILE:TENSOR}, or a file of one tensor. */
    private Direction direction(String written) {
        int colon = written.lastIndexOf(':');
        String path = colon < 0 ? written : written.substring(0, colon);
        Safetensors file = open(path);
        if (colon < 0 && file.names().size() != 1) {
            throw new InterventionException(path + " holds " + file.names().size() + " tensors; name one, as in " + path + ":"
                    + file.names().stream().sorted().findFirst().orElse("NAME"));
        }
        String name = colon < 0 ? file.names().iterator().next() : written.substring(colon + 1);
        if (!file.contains(name)) {
            throw new InterventionException(path + " holds no tensor \"" + shortened(name) + "\"; it has "
                    + file.names().stream().sorted().limit(5).toList());
        }
        Tensor tensor = file.tensor(name);
        Shape shape = tensor.shape();
        if (shape.rank() < 1 || shape.elements() != shape.dim(-1) || shape.elements() < 1 || shape.elements() > MOST_CHANNELS) {
            throw new InterventionException(path + ":" + name + ": expected a vector over channels, found " + shape);
        }
        try {
            return new Direction(names.apply(path) + ":" + name, tensor.toHost().values());
        } catch (UnsupportedOperationException e) {
            throw new InterventionException(path + ":" + name + ": " + e.getMessage());
        }
    }

    private Safetensors open(String path) {
        if (path.isEmpty()) {
            throw new InterventionException("the name of a safetensors file is missing");
        }
        return files.apply(path);
    }

    private static InterventionException failure(String text, String reason) {
        return new InterventionException("\"" + shortened(text) + "\": " + reason);
    }

    private static String shortened(String text) {
        return text.length() > 200 ? text.substring(0, 200) + "..." : text;
    }
}
