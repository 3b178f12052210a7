package dev.kleinscope.model.dit;

import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Tensor;
import dev.kleinscope.weights.WeightReader;

/** {@code linear_2(silu(linear_1(sinusoid(1000 t))))}: a scalar as a vector. Also embeds the guidance scale. */
final class TimestepEmbedding {

    private final Linear linear1;
    private final Linear linear2;
    private final int channels;

    TimestepEmbedding(WeightReader weights, Ops ops, String name, DitConfig config) {
        channels = (int) config.timestepChannels();
        linear1 = new Linear(ops.weight(weights.take(name + ".linear_1.weight", config.hidden(), channels)));
        linear2 = new Linear(ops.weight(weights.take(name + ".linear_2.weight", config.hidden(), config.hidden())));
    }

    /** What {@link #forward} takes, [batch, channels]. */
    Tensor sinusoid(Ops ops, float[] values) {
        float[] thousandfold = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            thousandfold[i] = ops.scalar(ops.scalar(values[i]) * 1000f);
        }
        return ops.input(sinusoid(thousandfold, channels));
    }

    /** @return [batch, hidden] */
    Tensor forward(Ops ops, Tensor sinusoid) {
        Tensor h = ops.linear(sinusoid, linear1).named(linear1.weight().name() + " product");
        Tensor hSilu = ops.silu(h).named(linear1.weight().name() + " product, silu");
        return ops.linear(hSilu, linear2).named(linear2.weight().name() + " product");
    }

    /**
     * {@code [cos | sin]} at geometrically falling frequencies.
     *
     * <p>Frequencies and angles are f32, as in the peer: an angle near 1000 rad keeps 4 digits there, so f64 would move
     * the whole result by 1e-5.
     */
    static HostTensor sinusoid(float[] thousandfold, int channels) {
        int half = channels / 2;
        float[] out = new float[thousandfold.length * channels];
        for (int b = 0; b < thousandfold.length; b++) {
            float t = thousandfold[b];
            for (int i = 0; i < half; i++) {
                float exponent = (float) -Math.log(10000) * i / half;
                float angle = t * (float) Math.exp(exponent);
                out[b * channels + i] = (float) Math.cos(angle);
                out[b * channels + half + i] = (float) Math.sin(angle);
            }
        }
        return HostTensor.of("timestep sinusoid", out, thousandfold.length, channels);
    }
}
