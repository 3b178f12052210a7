package dev.kleinscope;

import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Several observers as one, in the order in which they were added. */
final class Watching implements Observer {

    /** A watcher of some points. */
    private record Points(Set<String> names, Watcher watcher) implements Observer {

        @Override
        public boolean wants(String point) {
            return names.contains(point);
        }

        @Override
        public void saw(int step, Pass pass, String point, Tensor tensor) {
            watcher.saw(step, pass, point, tensor);
        }
    }

    private final List<Observer> observers = new ArrayList<>();

    void add(Observer observer) {
        observers.add(observer);
    }

    void add(Set<String> points, Watcher watcher) {
        observers.add(new Points(points, watcher));
    }

    boolean none() {
        return observers.isEmpty();
    }

    @Override
    public boolean wants(String point) {
        return observers.stream().anyMatch(observer -> observer.wants(point));
    }

    @Override
    public void saw(int step, Pass pass, String point, Tensor tensor) {
        for (Observer observer : observers) {
            if (observer.wants(point)) {
                observer.saw(step, pass, point, tensor);
            }
        }
    }

    /** One that reads what it is shown must see it while it is there. */
    @Override
    public boolean queues() {
        return observers.stream().allMatch(Observer::queues);
    }

    @Override
    public void again() {
        observers.forEach(Observer::again);
    }

    @Override
    public void done(int step, Pass pass) {
        observers.forEach(observer -> observer.done(step, pass));
    }
}
