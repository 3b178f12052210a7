package dev.kleinscope.probe;

import dev.kleinscope.tensor.Tensor;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Predicate;
import java.util.function.Supplier;

/** What a model reports its activations to during one forward. */
public interface Probes {

    /** Nobody watches. */
    Probes NONE = new Probes() {
        @Override
        public boolean wants(String point) {
            return false;
        }

        @Override
        public Tensor at(String point, Tensor tensor) {
            return tensor.named(point);
        }
    };

    boolean wants(String point);

    /** Whether {@link #at} may write to what is reported there, in this forward. Such a point is also wanted. */
    default boolean changes(String point) {
        return false;
    }

    /** Reports an activation, which is changed where it lies if it is, and returns it, carrying the point's name. */
    Tensor at(String point, Tensor tensor);

    /** Reports a value that the model itself does not need, computed only if somebody watches. */
    default void side(String point, Supplier<Tensor> value) {
        if (wants(point)) {
            at(point, value.get());
        }
    }

    /** Passes on what is in {@code wanted}, of which {@code changed} may be written to. */
    static Probes to(Set<String> wanted, Set<String> changed, BiConsumer<String, Tensor> report) {
        return relay(wanted::contains, changed::contains, report);
    }

    /** Reports to an observer as one pass of one step. */
    static Probes of(Observer observer, int step, Pass pass) {
        return relay(observer::wants, _ -> false, (point, tensor) -> observer.saw(step, pass, point, tensor));
    }

    private static Probes relay(Predicate<String> wanted, Predicate<String> changed, BiConsumer<String, Tensor> report) {
        return new Probes() {
            @Override
            public boolean wants(String point) {
                return wanted.test(point);
            }

            @Override
            public boolean changes(String point) {
                return changed.test(point);
            }

            @Override
            public Tensor at(String point, Tensor tensor) {
                Tensor named = tensor.named(point);
                if (wanted.test(point)) {
                    report.accept(point, named);
                }
                return named;
            }
        };
    }
}
