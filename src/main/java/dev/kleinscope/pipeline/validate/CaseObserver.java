package dev.kleinscope.pipeline.validate;

import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;

/** Compares each activation with the case as it is computed. */
final class CaseObserver implements Observer {

    private final ReferenceCase expected;
    private final String prefix;
    private final UnaryOperator<HostTensor> layout;
    private final Set<String> waiting = new LinkedHashSet<>();
    private final List<TensorCheck> checks = new ArrayList<>();

    /** @param prefix of the case's tensors; the rest of the name is the point */
    CaseObserver(ReferenceCase expected, String prefix) {
        this(expected, prefix, UnaryOperator.identity());
    }

    /** @param layout what turns an activation into the layout of the case */
    CaseObserver(ReferenceCase expected, String prefix, UnaryOperator<HostTensor> layout) {
        this.expected = expected;
        this.prefix = prefix;
        this.layout = layout;
        for (String name : expected.names()) {
            if (name.startsWith(prefix)) {
                waiting.add(name.substring(prefix.length()));
            }
        }
    }

    @Override
    public boolean wants(String point) {
        return waiting.contains(point);
    }

    @Override
    public void saw(int step, Pass pass, String point, Tensor tensor) {
        waiting.remove(point);
        checks.add(TensorCheck.of(prefix + point, layout.apply(tensor.toHost()), expected.values(prefix + point)));
    }

    /** Checks in the order of computation; points that the model never reported come last. */
    List<TensorCheck> finish(Set<String> otherwiseUsed) {
        waiting.stream().map(point -> prefix + point).filter(name -> !otherwiseUsed.contains(name))
                .forEach(name -> checks.add(TensorCheck.missing(name)));
        return checks;
    }
}
