package dev.kleinscope.pipeline.intervene;

import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.TokenGroups;
import dev.kleinscope.probe.Change;
import dev.kleinscope.probe.Intervention;
import dev.kleinscope.probe.InterventionException;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.probe.Point;
import dev.kleinscope.probe.PointCatalog;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a run changes of its activations: {@link Intervention}s, made in their order where the activations lie, before observers see
 * them. What a step's restrictions leave out runs as if there were none.
 *
 * @param list in order
 * @param groups what the prompt's positions hold in each pass; null if nobody knows, or nothing is restricted to parts of the prompt
 * @param held points at which a GPU's recorded operations pause as if they were changed, so that runs that differ in the point that they
 *     change share a recording
 */
public record Interventions(List<Intervention> list, Map<Pass, TokenGroups> groups, Set<String> held) {

    /** Nothing is changed. */
    public static final Interventions NONE = new Interventions(List.of(), null);

    public Interventions {
        list = List.copyOf(list);
        held = Set.copyOf(held);
    }

    public Interventions(List<Intervention> list, Map<Pass, TokenGroups> groups) {
        this(list, groups, Set.of());
    }

    public boolean none() {
        return list.isEmpty() && held.isEmpty();
    }

    /** The edits of a run. */
    public final class Run {

        private final Ops ops;
        private final int steps;
        private final Map<Pass, List<Edit>> edits = new EnumMap<>(Pass.class);

        private Run(Ops ops, PointCatalog catalog, int steps, int imgTokens, int txtTokens) {
            this.ops = ops;
            this.steps = steps;
            for (Pass pass : Pass.values()) {
                List<Edit> all = new ArrayList<>();
                list.forEach(intervention -> all.addAll(edits(intervention, pass, catalog, imgTokens, txtTokens)));
                edits.put(pass, all);
            }
        }

        private List<Edit> edits(Intervention intervention, Pass pass, PointCatalog catalog, int imgTokens, int txtTokens) {
            if (intervention.steps().last() >= steps) {
                throw new InterventionException(intervention + ": the run has steps 0 to " + (steps - 1));
            }
            TokenGroups positions = groups == null ? null : groups.get(pass);
            List<Edit> found = new ArrayList<>();
            Set<Point> points = select(intervention, catalog);
            for (Point point : points) {
                List<Span> stream = Span.of(point.rows(), intervention.stream(), positions, imgTokens, txtTokens);
                int tokens = point.rows() == Point.Rows.NONE ? 0 : Span.sum(stream);
                if (!intervention.tokens().all() && pass == Pass.COND && !stream.isEmpty() && intervention.tokens().last() >= tokens) {
                    throw new InterventionException(intervention + ": " + point.name() + (point.rows() == Point.Rows.NONE ? " has no tokens"
                            : " has " + intervention.stream().label() + " tokens 0 to " + (tokens - 1)));
                }
                List<Span> rows = Span.pick(stream, intervention.tokens());
                List<Span> averaged = rows;
                if (intervention.change() instanceof Change.Mean mean) {
                    averaged = mean.over() == null ? rows : Span.of(point.rows(), mean.over(), positions, imgTokens, txtTokens);
                    if (point.rows() == Point.Rows.NONE || averaged.isEmpty() && !rows.isEmpty() && pass == Pass.COND) {
                        throw new InterventionException(intervention + ": " + point.name() + " has no tokens to average");
                    }
                }
                if (!rows.isEmpty() && !averaged.isEmpty()) {
                    found.add(new Edit(intervention, point.name(), rows, averaged));
                }
            }
            if (found.isEmpty() && pass == Pass.COND) {
                throw new InterventionException(intervention + ": " + points.iterator().next().name() + " has no "
                        + intervention.stream().label() + " tokens");
            }
            return found;
        }

        /** What one forward reports to. @param observer sees what is left; may be null */
        public Probes probes(Observer observer, int step, Pass pass) {
            Map<String, List<Edit>> active = new HashMap<>();
            edits.get(pass).stream().filter(edit -> edit.intervention().applies(step, pass))
                    .forEach(edit -> active.computeIfAbsent(edit.point(), _ -> new ArrayList<>()).add(edit));
            if (active.isEmpty() && held.isEmpty()) {
                return observer == null ? Probes.NONE : Probes.of(observer, step, pass);
            }
            Set<String> changed = new HashSet<>(held);
            changed.addAll(active.keySet());
            return new Probes() {
                @Override
                public boolean wants(String point) {
                    return changed.contains(point) || observer != null && observer.wants(point);
                }

                @Override
                public boolean changes(String point) {
                    return changed.contains(point);
                }

                @Override
                public Tensor at(String point, Tensor tensor) {
                    Tensor named = tensor.named(point);
                    active.getOrDefault(point, List.of()).forEach(edit -> edit.apply(ops, named, step, pass));
                    if (observer != null && observer.wants(point)) {
                        observer.saw(step, pass, point, named);
                    }
                    return named;
                }
            };
        }
    }

    private static Set<Point> select(Intervention intervention, PointCatalog catalog) {
        try {
            return catalog.select(intervention.points());
        } catch (InterventionException e) {
            throw e;
        } catch (IllegalArgumentException e) {
            throw new InterventionException(intervention + ": " + e.getMessage());
        }
    }

    /**
     * Finds out what is to be changed.
     *
     * @param catalog the model's points
     * @param steps of the run
     * @param imgTokens tokens of noise and references
     * @param txtTokens padded length of the prompt
     * @throws InterventionException naming what is not there
     */
    public Run on(Ops ops, PointCatalog catalog, int steps, int imgTokens, int txtTokens) {
        return new Run(ops, catalog, steps, imgTokens, txtTokens);
    }
}
