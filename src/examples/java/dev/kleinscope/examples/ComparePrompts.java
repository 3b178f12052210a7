package dev.kleinscope.examples;

import dev.kleinscope.Kleinscope;
import dev.kleinscope.probe.Observer;
import dev.kleinscope.probe.Pass;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import java.util.HashMap;
import java.util.Map;

/**
 * Two prompts from the same noise: how far apart the image streams are after each block of the first step. Arguments: a model folder and
 * two prompts.
 */
final class ComparePrompts {

    private ComparePrompts() {
    }

    public static void main(String[] args) {
        try (Kleinscope model = Kleinscope.open(args[0])) {
            ImageRows first = new ImageRows();
            ImageRows second = new ImageRows();
            model.run(args[1]).size(256, 256).steps(1).watch(first).latents();
            model.run(args[2]).size(256, 256).steps(1).watch(second).latents();
            model.points().points().stream().filter(point -> first.seen.containsKey(point.name())).forEach(point -> System.out.printf(
                    "%-30s %.4f%n", point.name(), distance(first.seen.get(point.name()), second.seen.get(point.name()))));
        }
    }

    /** {@code |a - b| / |a|}. */
    private static double distance(HostTensor a, HostTensor b) {
        double sum = 0;
        for (int i = 0; i < a.values().length; i++) {
            double difference = a.values()[i] - b.values()[i];
            sum += difference * difference;
        }
        return Math.sqrt(sum) / a.norm();
    }

    /** An observer of its own: it chooses points by rule, and keeps the rows that both prompts have in common. */
    private static final class ImageRows implements Observer {

        private static final long IMAGE_TOKENS = 256 / 16 * 256 / 16;

        private final Map<String, HostTensor> seen = new HashMap<>();

        @Override
        public boolean wants(String point) {
            return point.matches("transformer_blocks\\.\\d+\\.img|single_transformer_blocks\\.\\d+");
        }

        @Override
        public void saw(int step, Pass pass, String point, Tensor tensor) {
            // single blocks have the text first: the image is what comes last
            seen.put(point, tensor.slice(1, tensor.dim(1) - IMAGE_TOKENS, tensor.dim(1)).toHost());
        }
    }
}
