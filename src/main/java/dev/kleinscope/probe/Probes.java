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

    /** Reports an activation and returns it, carrying the point's name. */
    Tensor at(String point, Tensor tensor);

    /** Reports a value that the model itself does not need, computed only if somebody watches. */
    default void side(String point, Supplier<Tensor> value) {
        if (wants(point)) {
            at(point, value.get());
        }
    }

    /** Passes on what is in {@code wanted}. */
    static Probes to(Set<String> wanted, BiConsumer<String, Tensor> report) {
        return relay(wanted::contains, report);
    }

    /** Reports to an observer as one pass of one step. */
    static Probes of(Observer observer, int step, Pass pass) {
        return relay(observer::wants, (point, tensor) -> observer.saw(step, pass, point, tensor));
    }

    private static Probes relay(Predicate<String> wanted, BiConsumer<String, Tensor> report) {
        return new Probes() {
            @Override
            public boolean wants(String point) {
                return wanted.test(point);
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
