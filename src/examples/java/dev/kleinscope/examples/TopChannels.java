package dev.kleinscope.examples;

import dev.kleinscope.Kleinscope;
import dev.kleinscope.tensor.HostTensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Keeps one activation of one step, looks at its numbers and its strongest channels, and draws the picture of the same run.
 * Arguments: a model folder, a point, and the PNG to write.
 */
final class TopChannels {

    private static final int STEP = 1;
    private static final int SHOWN = 5;

    private TopChannels() {
    }

    public static void main(String[] args) {
        try (Kleinscope model = Kleinscope.open(args[0])) {
            List<HostTensor> kept = new ArrayList<>();
            model.run("a red cube on a wooden table").size(256, 256).steps(2).seed(7).watch(args[1], (step, pass, point, tensor) -> {
                if (step == STEP) {
                    // the tensor itself is overwritten by the next block: what is kept is a copy
                    kept.add(tensor.toHost());
                }
            }).png(Path.of(args[2]));
            kept.forEach(TopChannels::show);
        }
    }

    private static void show(HostTensor x) {
        int channels = (int) x.shape().dim(-1);
        int rows = x.values().length / channels;
        double[] energy = new double[channels];
        double sum = 0;
        float least = Float.POSITIVE_INFINITY;
        float most = Float.NEGATIVE_INFINITY;
        for (int row = 0; row < rows; row++) {
            for (int channel = 0; channel < channels; channel++) {
                float value = x.values()[row * channels + channel];
                energy[channel] += (double) value * value;
                sum += value;
                least = Math.min(least, value);
                most = Math.max(most, value);
            }
        }
        double norm = x.norm();
        System.out.printf("%s%s  norm %.5g  mean %.3g  from %.4g to %.4g%n", x.name(), x.shape(), norm, sum / x.values().length, least, most);
        IntStream.range(0, channels).boxed().sorted(Comparator.comparingDouble((Integer channel) -> energy[channel]).reversed()).limit(SHOWN)
                .forEach(channel -> System.out.printf("  channel %4d  %.1f%% of the energy%n", channel, 100 * energy[channel] / (norm * norm)));
    }
}
