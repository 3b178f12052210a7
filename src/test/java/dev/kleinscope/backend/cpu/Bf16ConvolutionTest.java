package dev.kleinscope.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.bindings.onednn.OneDnnLibrary;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.HostFrames;
import dev.kleinscope.ops.Weights;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

class Bf16ConvolutionTest {

    private static final Conv2d.Padding[] PADDINGS = {Conv2d.Padding.around(1), new Conv2d.Padding(0, 0, 1, 1), Conv2d.Padding.NONE,
        new Conv2d.Padding(2, 0, 1, 3)};

    private static HostTensor normal(long seed, long... dims) {
        Random random = new Random(seed);
        float[] values = new float[Math.toIntExact(new Shape(dims).elements())];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return HostTensor.of("normal", values, dims);
    }

    @Test
    void stripsOfAPictureGiveWhatTheWholeGives() {
        Tensor weight = Weights.of(DType.BF16, normal(2, 81, 3, 3, 92));
        List<Long> heights = new ArrayList<>();
        try (Workers workers = new Workers(2); HostFrames frames = new HostFrames("test"); Frame _ = frames.open()) {
            Products java = new JavaProducts(workers);
            Bf16Convolution.Convolver convolver = (_, height, _, _) -> {
                heights.add(height);
                return null;
            };
            for (int stride = 1; stride <= 2; stride++) {
                for (Conv2d.Padding padding : PADDINGS) {
                    Conv2d layer = new Conv2d(weight, null, stride, padding);
                    Tensor wide = frames.input(normal(3, 2, 13, 11, 95));
                    Tensor x = stride == 1 ? frames.input(normal(3, 2, 13, 11, 92)) : wide.slice(3, 2, 94).slice(2, 1, 10);
                    float[] whole = convolved(workers, frames, java, x, layer, 1 << 20);
                    for (int bytes : new int[] {1, 5000, 11000}) {
                        assertArrayEquals(whole, convolved(workers, frames, java, x, layer, bytes), padding + " in strips of " + bytes);
                    }
                    Tensor out = frames.alloc(layer.outShape(x.shape()));
                    assertFalse(Bf16Convolution.run(workers, frames, convolver, x, layer, out, 5000));
                    assertTrue(heights.getLast() < 7, "a strip reads " + heights.getLast() + " lines");
                }
            }
        }
    }

    private static float[] convolved(Workers workers, HostFrames frames, Products java, Tensor x, Conv2d layer, long stripBytes) {
        Tensor out = frames.alloc(layer.outShape(x.shape()));
        assertTrue(Bf16Convolution.run(workers, frames, (unpadded, _, _, _) -> (strip, result) ->
                Bf16Emulation.convolve(workers, java, strip, unpadded, result), x, layer, out, stripBytes));
        return out.toHost().values();
    }

    /** In f32, which every CPU has. */
    @Test
    void oneDnnConvolvesAsOurOwnKernelDoes() {
        Assumptions.assumeTrue(OneDnnLibrary.isAvailable(), OneDnnLibrary::whyNot);
        try (Workers workers = new Workers(2); HostFrames frames = new HostFrames("test"); Frame _ = frames.open()) {
            Products java = new JavaProducts(workers);
            try (OneDnnProducts oneDnn = new OneDnnProducts(java, 2)) {
                int convolved = 0;
                for (int stride = 1; stride <= 2; stride++) {
                    for (int out : new int[] {16, 81}) {
                        Tensor weight = Weights.of(DType.F32, normal(2, out, 3, 3, 48));
                        Conv2d layer = new Conv2d(weight, out == 81 ? Weights.of(DType.BF16, normal(4, 81)) : null, stride,
                                new Conv2d.Padding(0, stride == 1 ? 1 : 0, 0, 1));
                        Tensor x = frames.input(normal(3, 1, 9, 14, 48));
                        Tensor expected = frames.alloc(layer.outShape(x.shape()));
                        Convolution.direct(workers, java, x, layer, expected);
                        Tensor found = frames.alloc(expected.shape());
                        Bf16Convolution.Convolver.Prepared prepared = oneDnn.prepare(layer, 9, 14, found);
                        if (prepared != null) {
                            convolved++;
                            prepared.run(x, found);
                            Difference difference = Difference.of(found.toHost().values(), expected.toHost().values());
                            assertTrue(difference.relativeL2() <= 1e-6, "stride " + stride + ", " + out + ": " + difference);
                        }
                    }
                }
                Assumptions.assumeTrue(convolved > 0, "oneDNN has no convolution in f32 for this CPU");
            }
        }
    }
}
