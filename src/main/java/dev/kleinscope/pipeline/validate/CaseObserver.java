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
    private final Set<String> joint;
    private final long txtTokens;
    private final Set<String> waiting = new LinkedHashSet<>();
    private final List<TensorCheck> checks = new ArrayList<>();

    /** @param prefix of the case's tensors; the rest of the name is the point */
    CaseObserver(ReferenceCase expected, String prefix) {
        this(expected, prefix, UnaryOperator.identity(), Set.of(), 0);
    }

    /** @param layout what turns an activation into the layout of the case */
    CaseObserver(ReferenceCase expected, String prefix, UnaryOperator<HostTensor> layout) {
        this(expected, prefix, layout, Set.of(), 0);
    }

    /** @param joint points of [batch, tokens, channels] with that many text tokens first, which are also compared by stream */
    CaseObserver(ReferenceCase expected, String prefix, Set<String> joint, long txtTokens) {
        this(expected, prefix, UnaryOperator.identity(), joint, txtTokens);
    }

    private CaseObserver(ReferenceCase expected, String prefix, UnaryOperator<HostTensor> layout, Set<String> joint, long txtTokens) {
        this.expected = expected;
        this.prefix = prefix;
        this.layout = layout;
        this.joint = joint;
        this.txtTokens = txtTokens;
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
        String name = prefix + point;
        HostTensor found = layout.apply(tensor.toHost());
        checks.add(joint.contains(point) ? TensorCheck.ofStreams(name, found, expected.values(name), txtTokens)
                : TensorCheck.of(name, found, expected.values(name)));
    }

    /** Checks in the order of computation; points that the model never reported come last. */
    List<TensorCheck> finish(Set<String> otherwiseUsed) {
        waiting.stream().map(point -> prefix + point).filter(name -> !otherwiseUsed.contains(name))
                .forEach(name -> checks.add(TensorCheck.missing(name)));
        return checks;
    }
}
