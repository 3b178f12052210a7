package dev.kleinscope.weights;

import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;

/**
 * How a model takes its weights: by name and with the shape it needs. Remembers what was taken, so that {@link #finish}
 * can tell a file that holds more than the model knows. For one thread. Does not own the source.
 */
public final class WeightReader {

    private static final Set<DType> FLOATS = EnumSet.of(DType.BF16, DType.F16, DType.F32, DType.F64);
    private static final int SUGGESTIONS = 3;
    private static final int NAMED_EXTRAS = 5;
    /** Names beyond these bounds are not compared, to keep the message of a hostile file cheap. */
    private static final int COMPARED_NAMES = 5000;
    private static final int COMPARED_LENGTH = 200;

    private final WeightSource source;
    private final Set<String> taken = new LinkedHashSet<>();

    public WeightReader(WeightSource source) {
        this.source = source;
    }

    public WeightSource source() {
        return source;
    }

    /** Whether the source has a tensor; for parts that a checkpoint may lack, such as biases. */
    public boolean has(String name) {
        return source.contains(name);
    }

    /**
     * A tensor of floating-point numbers (BF16, F16, F32 or F64), without a copy. Values are not looked at.
     *
     * @param name the full name
     * @param expectedShape the shape it must have; none for a scalar
     * @throws ModelException if it is missing, misshapen or of another type
     */
    public Tensor take(String name, long... expectedShape) {
        if (!source.contains(name)) {
            throw new ModelException(source.describe() + ": no tensor " + name + nearest(name)
                    + "; check that it is the right model");
        }
        Tensor tensor = source.tensor(name);
        Shape expected = new Shape(expectedShape);
        if (!tensor.shape().equals(expected)) {
            throw new ModelException(name + ": expected " + expected + ", found " + tensor.shape() + " "
                    + tensor.dtype() + " in "
                    + source.file(name) + "; the weights do not belong to this configuration");
        }
        if (!FLOATS.contains(tensor.dtype())) {
            throw new ModelException(name + ": expected floating-point numbers, found " + tensor.dtype() + " in "
                    + source.file(name)
                    + "; use the BF16 file of this model, quantised ones are not supported");
        }
        taken.add(name);
        return tensor;
    }

    /** Counts a tensor as known although the model does not need it. */
    public void skip(String name) {
        taken.add(name);
    }

    /** Names taken so far. */
    public Set<String> taken() {
        return Set.copyOf(taken);
    }

    /**
     * Checks that nothing was left over.
     *
     * @param ignorable names that need not be taken, such as counters of training
     * @throws ModelException naming up to five tensors that were not taken
     */
    public void finish(Predicate<String> ignorable) {
        List<String> extra = source.names().stream().filter(name -> !taken.contains(name) && !ignorable.test(name)).toList();
        if (!extra.isEmpty()) {
            String named = String.join(", ", extra.stream().limit(NAMED_EXTRAS).map(Text::quote).toList());
            throw new ModelException(source.describe() + ": holds " + extra.size() + " of " + source.names().size()
                    + " tensors that the model does not have: " + named + (extra.size() > NAMED_EXTRAS ? ", ..." : "")
                    + "; the weights do not belong to this configuration");
        }
    }

    private String nearest(String name) {
        record Candidate(String name, int distance) {
        }

        List<String> names = source.names().stream().limit(COMPARED_NAMES)
                .filter(other -> other.length() <= COMPARED_LENGTH)
                .map(other -> new Candidate(other, distance(name, other)))
                .filter(candidate -> candidate.distance() <= name.length() / 2)
                .sorted(Comparator.comparingInt(Candidate::distance))
                .limit(SUGGESTIONS).map(candidate -> Text.quote(candidate.name())).toList();
        return names.isEmpty() ? "" : " (nearest: " + String.join(", ", names) + ")";
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
                int substituted = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(substituted, Math.min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.length()];
    }
}
