package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.dump.ActivationFile;
import dev.kleinscope.pipeline.dump.ActivationFile.Key;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Consumer;

/**
 * Two runs' activations, point by point.
 *
 * @param a what the first is; distances are relative to its norms
 * @param b what the second is
 * @param rtol largest relative L2 distance that counts as none
 * @param rows what both have, in the order of computation
 * @param onlyA what the second lacks, in that order
 * @param onlyB what the first lacks
 * @param made what the files say of their making where they differ: name, then both values, null where one says nothing
 */
public record ActivationDiff(String a, String b, double rtol, List<Row> rows, List<String> onlyA, List<String> onlyB,
        Map<String, List<String>> made) {

    /**
     * One activation.
     *
     * @param name as in a dump
     * @param step from 0; -1 for what a run starts from
     * @param pass {@code "cond"}, {@code "uncond"} or empty
     * @param shape the first's
     * @param within whether it is within the threshold
     * @param problem why the values cannot be compared; then they are not within it, and there are no numbers
     */
    public record Row(String name, int step, String pass, String shape, boolean within, String problem, Numbers numbers) {
    }

    /**
     * How far an activation is from the other.
     *
     * @param relativeL2 {@code ||b - a|| / ||a||}; infinite where a value is not finite in one alone
     * @param worstIndex of the largest difference, one index for each dimension
     * @param cosine NaN where a norm is 0
     * @param notFiniteA values that are infinite or no numbers
     */
    public record Numbers(double relativeL2, double maxAbs, List<Long> worstIndex, float worstA, float worstB, double normA, double normB,
            double cosine, long notFiniteA, long notFiniteB) {
    }

    /**
     * Compares two files, holding a piece of two tensors at a time for each core.
     *
     * @param labels what the two are, for people
     * @param progress hears of each activation that is done
     */
    public static ActivationDiff of(ActivationFile a, ActivationFile b, List<String> labels, double rtol, Consumer<String> progress) {
        List<Row> rows = new ArrayList<>();
        for (Key key : common(a, b)) {
            rows.add(row(key, a.tensor(key), b.tensor(key), rtol));
            progress.accept(key.name());
        }
        return new ActivationDiff(labels.getFirst(), labels.getLast(), rtol, rows, lacking(a, b), lacking(b, a), made(a, b));
    }

    /** What both have, in the order of computation. */
    public static List<Key> common(ActivationFile a, ActivationFile b) {
        return a.keys().stream().filter(b::has).toList();
    }

    private static List<String> lacking(ActivationFile a, ActivationFile b) {
        return a.keys().stream().filter(key -> !b.has(key)).map(Key::name).toList();
    }

    private static Row row(Key key, Tensor a, Tensor b, double rtol) {
        String shape = a.shape().toString();
        if (!squeezed(a.shape()).equals(squeezed(b.shape()))) {
            return problem(key, shape, "shapes " + a.shape() + " and " + b.shape());
        }
        try {
            TensorDistance distance = TensorDistance.of(a, b);
            Numbers numbers = new Numbers(distance.relativeL2(), distance.maxAbs(), index(distance.worst(), a.shape()), distance.worstA(),
                    distance.worstB(), distance.normA(), distance.normB(), distance.cosine(), distance.notFiniteA(), distance.notFiniteB());
            return new Row(key.name(), key.step(), key.pass(), shape, numbers.relativeL2() <= rtol, null, numbers);
        } catch (UnsupportedOperationException e) {
            return problem(key, shape, e.getMessage());
        }
    }

    private static Row problem(Key key, String shape, String problem) {
        return new Row(key.name(), key.step(), key.pass(), shape, false, problem, null);
    }

    private static Shape squeezed(Shape shape) {
        return new Shape(Arrays.stream(shape.dims()).filter(dim -> dim != 1).toArray());
    }

    private static List<Long> index(long worst, Shape shape) {
        Long[] index = new Long[shape.rank()];
        long left = worst;
        for (int d = index.length - 1; d >= 0; d--) {
            index[d] = shape.dim(d) == 0 ? 0 : left % shape.dim(d);
            left /= Math.max(1, shape.dim(d));
        }
        return List.of(index);
    }

    private static Map<String, List<String>> made(ActivationFile a, ActivationFile b) {
        Map<String, List<String>> made = new LinkedHashMap<>();
        TreeSet<String> names = new TreeSet<>(a.metadata().keySet());
        names.addAll(b.metadata().keySet());
        for (String name : names) {
            String first = a.metadata().get(name);
            String second = b.metadata().get(name);
            if (first == null || !first.equals(second)) {
                made.put(name, Arrays.asList(first, second));
            }
        }
        return made;
    }

    /** The first, in the order of computation, that is not within the threshold; or null. */
    public Row first() {
        return rows.stream().filter(row -> !row.within()).findFirst().orElse(null);
    }

    /** The farthest; null if nothing could be compared. */
    public Row worst() {
        return rows.stream().max(Comparator.comparingDouble(row -> row.numbers() == null ? Double.POSITIVE_INFINITY
                : row.numbers().relativeL2())).orElse(null);
    }

    /** How many are not within the threshold. */
    public long beyond() {
        return rows.stream().filter(row -> !row.within()).count();
    }

    /** The threshold for people: 1e-4 rather than 1.0E-4. */
    public String threshold() {
        return Double.toString(rtol).replace(".0E", "e").replace('E', 'e');
    }

    /** In one sentence. */
    public String finding() {
        if (rows.isEmpty()) {
            return "The two have no activation in common: nothing was compared.";
        }
        Row first = first();
        String compared = rows.size() == 1 ? "The one activation" : "All " + rows.size() + " activations";
        return first == null ? compared + " in common agree within a relative L2 distance of " + threshold() + "."
                : "The first that differs, in the order of computation, is " + first.name() + "; " + beyond() + " of " + rows.size()
                        + " in common are farther apart than a relative L2 distance of " + threshold() + ".";
    }
}
