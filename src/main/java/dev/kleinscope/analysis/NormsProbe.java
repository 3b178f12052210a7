package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/** The plainest observer: the L2 norm of every block's output. */
public final class NormsProbe implements Observer {

    private final Set<String> points;
    private final List<Double> norms = new ArrayList<>();

    private NormsProbe(Set<String> points) {
        this.points = points;
    }

    public static NormsProbe blockNorms(Klein klein) {
        return new NormsProbe(klein.points().points().stream().filter(point -> point.role() == Point.Role.BLOCK).map(Point::name)
                .collect(Collectors.toSet()));
    }

    @Override
    public boolean wants(String point) {
        return points.contains(point);
    }

    @Override
    public void saw(int step, Pass pass, String point, Tensor tensor) {
        norms.add(tensor.toHost().norm());
    }

    /** In the order seen. */
    public List<Double> norms() {
        return List.copyOf(norms);
    }
}
