package dev.kleinscope.analysis;

import dev.kleinscope.pipeline.Klein;
import dev.kleinscope.pipeline.Readings;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The plainest observer: the L2 norm of whole activations [batch, tokens, ..], summed where they are. */
public final class NormsProbe implements Observer, AutoCloseable {

    private record Seen(String point, Readings.Reading energies) {
    }

    private final Readings readings;
    private final Map<String, List<Double>> norms = new LinkedHashMap<>();
    private final List<Seen> seen = new ArrayList<>();

    /**
     * @param readings the model's; closed with this
     * @param points whose norms to take
     */
    public NormsProbe(Readings readings, Collection<String> points) {
        this.readings = readings;
        points.forEach(point -> norms.put(point, new ArrayList<>()));
    }

    /** Of every block's output. */
    public static NormsProbe blockNorms(Klein klein) {
        return new NormsProbe(klein.readings(),
                klein.points().points().stream().filter(point -> point.role() == Point.Role.BLOCK).map(Point::name).toList());
    }

    @Override
    public boolean wants(String point) {
        return norms.containsKey(point);
    }

    @Override
    public void saw(int step, Pass pass, String point, Tensor tensor) {
        seen.add(new Seen(point, readings.rowMoments(tensor, null)));
    }

    @Override
    public boolean queues() {
        return true;
    }

    @Override
    public void again() {
        seen.clear();
        readings.reuse();
    }

    @Override
    public void done(int step, Pass pass) {
        readings.finish();
        for (Seen each : seen) {
            norms.get(each.point).add(Math.sqrt(each.energies.total()));
        }
        again();
    }

    /** One norm a forward that is done. */
    public List<Double> norms(String point) {
        return List.copyOf(norms.get(point));
    }

    @Override
    public void close() {
        readings.close();
    }
}
