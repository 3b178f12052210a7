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

    /** Whether somebody watches this point; asked before a value is computed for it alone. */
    boolean wants(String point);

    /** Whether {@link #at} may write to what is reported there, in this forward. Such a point is also wanted. */
    default boolean changes(String point) {
        return false;
    }

    /** Reports an activation, which is changed where it lies if it is, and returns it, carrying the point's name. */
    Tensor at(String point, Tensor tensor);

    /** See {@link Observer#queues}. */
    default boolean queues() {
        return false;
    }

    /** Which forward of a step is reported, where {@link #queues}: what is summed can depend on it, since prompts differ in length. */
    default Pass pass() {
        return Pass.COND;
    }

    /** See {@link Observer#again}. */
    default void again() {
    }

    /** Reports a value that the model itself does not need, computed only if somebody watches. */
    default void side(String point, Supplier<Tensor> value) {
        if (wants(point)) {
            at(point, value.get());
        }
    }

    /** Passes on what is in {@code wanted}. */
    static Probes to(Set<String> wanted, BiConsumer<String, Tensor> report) {
        return to(wanted, Set.of(), report);
    }

    /** Passes on what is in {@code wanted}, of which {@code changed} may be written to. */
    static Probes to(Set<String> wanted, Set<String> changed, BiConsumer<String, Tensor> report) {
        return new Relay(wanted::contains, changed::contains, report);
    }

    /** Reports to an observer as one pass of one step. */
    static Probes of(Observer observer, int step, Pass pass) {
        return new Relay(observer::wants, _ -> false, (point, tensor) -> observer.saw(step, pass, point, tensor)) {

            @Override
            public boolean queues() {
                return observer.queues();
            }

            @Override
            public Pass pass() {
                return observer.queues() ? pass : Pass.COND;
            }

            @Override
            public void again() {
                observer.again();
            }
        };
    }

    /** Names what it is shown, and reports what is wanted. */
    class Relay implements Probes {

        private final Predicate<String> wanted;
        private final Predicate<String> changed;
        private final BiConsumer<String, Tensor> report;

        private Relay(Predicate<String> wanted, Predicate<String> changed, BiConsumer<String, Tensor> report) {
            this.wanted = wanted;
            this.changed = changed;
            this.report = report;
        }

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
    }
}
