package dev.kleinscope.probe;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The points of a model, and the ways to name them.
 *
 * <p>Canonical names are diffusers' module paths. Black Forest Labs' names and those of the original study's scripts are
 * aliases. In a glob, {@code *} stands for anything within a dot-separated part and {@code **} for anything at all.
 */
public final class PointCatalog {

    /** A way to write a name, and back: {@code point} matches canonical names, which {@code alias} rewrites. */
    private record Alias(Pattern pattern, String canonical, Pattern point, String alias) {

        static Alias of(String pattern, String canonical, String point, String alias) {
            return new Alias(Pattern.compile(pattern), canonical, Pattern.compile(point), alias);
        }
    }

    private static final List<Alias> ALIASES = List.of(
            Alias.of("DoubleStream_Layer_([0-9]+|\\*)", "transformer_blocks.$1.txt",
                    "transformer_blocks\\.([0-9]+)\\.txt", "DoubleStream_Layer_$1"),
            Alias.of("SingleStream_Layer_([0-9]+|\\*)", "single_transformer_blocks.$1",
                    "single_transformer_blocks\\.([0-9]+)", "SingleStream_Layer_$1"),
            Alias.of("double_blocks\\.(.*)", "transformer_blocks.$1", "transformer_blocks\\.(.*)", "double_blocks.$1"),
            Alias.of("single_blocks\\.(.*)", "single_transformer_blocks.$1", "single_transformer_blocks\\.(.*)", "single_blocks.$1"),
            Alias.of("img_in", "x_embedder", "x_embedder", "img_in"),
            Alias.of("txt_in", "context_embedder", "context_embedder", "txt_in"),
            Alias.of("final_layer\\.linear", "proj_out", "proj_out", "final_layer.linear"));

    private final List<Point> points;

    /** A model's points. @param points in the order of computation */
    public PointCatalog(Collection<Point> points) {
        this.points = List.copyOf(points);
    }

    /** All of them, in the order of computation. */
    public List<Point> points() {
        return points;
    }

    /** The canonical form of a name or glob; a double block alone stands for both of its streams. */
    static String canonical(String name) {
        for (Alias alias : ALIASES) {
            Matcher matcher = alias.pattern.matcher(name);
            if (matcher.matches()) {
                return matcher.replaceFirst(alias.canonical);
            }
        }
        return name;
    }

    /** Other names under which {@link #select} finds a point. */
    public static List<String> aliases(Point point) {
        return ALIASES.stream().map(alias -> alias.point.matcher(point.name()).matches()
                ? alias.point.matcher(point.name()).replaceFirst(alias.alias) : "").filter(name -> !name.isEmpty()).toList();
    }

    /**
     * Points that names, aliases and globs select, in the order of computation.
     *
     * @throws IllegalArgumentException naming the first that selects nothing, with the nearest names there are
     */
    public Set<Point> select(Collection<String> globs) {
        Set<Point> selected = new LinkedHashSet<>();
        for (String glob : globs) {
            String canonical = canonical(glob.strip());
            Pattern pattern = pattern(canonical);
            List<Point> found = points.stream().filter(point -> pattern.matcher(point.name()).matches()).toList();
            if (found.isEmpty()) {
                throw new IllegalArgumentException("no probe point is called \"" + shortened(glob) + "\"; near it: "
                        + String.join(", ", nearest(canonical)) + ". The inspect command lists all " + points.size());
            }
            selected.addAll(found);
        }
        return new LinkedHashSet<>(points.stream().filter(selected::contains).toList());
    }

    private static Pattern pattern(String glob) {
        StringBuilder regex = new StringBuilder();
        for (int i = 0; i < glob.length(); i++) {
            char c = glob.charAt(i);
            if (c == '*' && i + 1 < glob.length() && glob.charAt(i + 1) == '*') {
                regex.append(".*");
                i++;
            } else {
                regex.append(c == '*' ? "[^.]*" : c == '?' ? "[^.]" : Pattern.quote(String.valueOf(c)));
            }
        }
        if (glob.matches("transformer_blocks\\.[^.]+")) {
            regex.append("\\.(img|txt)");
        }
        return Pattern.compile(regex.toString());
    }

    private List<String> nearest(String name) {
        String text = shortened(name);
        List<String> sorted = new ArrayList<>(points.stream().map(Point::name).toList());
        sorted.sort(Comparator.comparingInt(point -> distance(point, text)));
        return sorted.subList(0, Math.min(3, sorted.size()));
    }

    private static String shortened(String name) {
        return name.length() > 100 ? name.substring(0, 100) + "..." : name;
    }

    /** Levenshtein distance. */
    private static int distance(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int substitution = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(substitution, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }
}
