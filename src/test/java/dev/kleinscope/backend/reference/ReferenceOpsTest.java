package dev.kleinscope.backend.reference;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Conv2d;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.ops.Gelu;
import dev.kleinscope.ops.Linear;
import dev.kleinscope.ops.Rope;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The specification against values worked out by hand. */
class ReferenceOpsTest {

    private final ReferenceOps ops = new ReferenceOps();
    private Frame frame;

    @BeforeEach
    void open() {
        frame = ops.frame();
    }

    @AfterEach
    void close() {
        frame.close();
        ops.close();
    }

    private Tensor tensor(Shape shape, float... values) {
        return ops.input(new HostTensor("t", shape, values));
    }

    private static void holds(Tensor found, double... expected) {
        float[] values = found.toHost().values();
        double[] widened = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            widened[i] = values[i];
        }
        assertArrayEquals(expected, widened, 1e-6);
    }

    @Test
    void linearMultipliesByTheTransposedWeightAndAddsTheBias() {
        Tensor x = tensor(Shape.of(2, 2), 1, 2, 3, 4);
        Tensor weight = tensor(Shape.of(3, 2), 1, 0, 0, 1, 1, -1);
        holds(ops.linear(x, new Linear(weight)), 1, 2, -1, 3, 4, -1);
        holds(ops.linear(x, new Linear(weight, tensor(Shape.of(3), 10, 20, 30))), 11, 22, 29, 13, 24, 29);
    }

    @Test
    void layerNormCentresAndScalesThenModulates() {
        Tensor x = tensor(Shape.of(1, 2, 2), 1, 3, 5, 5);
        double unit = 1 / Math.sqrt(1.25);
        holds(ops.layerNorm(x, 0.25), -unit, unit, 0, 0);
        Tensor scale = tensor(Shape.of(1, 2), 1, 0);
        Tensor shift = tensor(Shape.of(1, 2), 0.5f, -0.5f);
        holds(ops.layerNormModulate(x, scale, shift, 0.25), 0.5 - 2 * unit, unit - 0.5, 0.5, -0.5);
    }

    @Test
    void rmsNormWorksOnGroupsOfTheWeightsSize() {
        Tensor x = tensor(Shape.of(1, 4), 3, 4, 6, 8);
        Tensor weight = tensor(Shape.of(2), 1, 2);
        holds(ops.rmsNorm(x, weight, 0), 3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5), 6 / Math.sqrt(50), 16 / Math.sqrt(50));
    }

    @Test
    void ropeTurnsAdjacentPairsOrHalvesByAQuarter() {
        Tensor x = tensor(Shape.of(1, 2, 4), 1, 1, -1, -1, 1, -1, 1, -1);
        Tensor ones = tensor(Shape.of(4), 1, 2, 3, 4);
        Tensor cos = tensor(Shape.of(2, 2), 1, 1, 0, 0);
        Tensor sin = tensor(Shape.of(2, 2), 0, 0, 1, 1);
        holds(ops.rmsNormRope(x, ones, 0, new Rope(cos, sin, Rope.Pairing.ADJACENT)), 1, 2, -3, -4, 2, 1, 4, 3);
        holds(ops.rmsNormRope(x, ones, 0, new Rope(cos, sin, Rope.Pairing.HALVES)), 1, 2, -3, -4, -3, 4, 1, -2);
    }

    @Test
    void attentionAveragesTheVisibleValues() {
        Tensor q = tensor(Shape.of(1, 2, 4), new float[8]);
        Tensor k = tensor(Shape.of(1, 3, 2), 1, 2, 3, 4, 5, 6);
        Tensor v = tensor(Shape.of(1, 3, 2), 0, 3, 3, 6, 6, 0);
        holds(ops.attention(q, k, v, 2, 1, AttentionMask.NONE), 3, 3, 3, 3, 3, 3, 3, 3);
        holds(ops.attention(q, k, v, 2, 1, new AttentionMask(true, null)), 0, 3, 0, 3, 1.5, 4.5, 1.5, 4.5);
        holds(ops.attention(q, k, v, 2, 1, new AttentionMask(true, new long[] {1})), 0, 3, 0, 3, 0, 3, 0, 3);
        holds(ops.attention(q, k, v, 2, 1, new AttentionMask(false, new long[] {0})), 0, 0, 0, 0, 0, 0, 0, 0);
    }

    @Test
    void attentionScoresAreScaledByTheRootOfTheHeadSize() {
        Tensor q = tensor(Shape.of(1, 1, 4), 2, 0, 0, 0);
        Tensor k = tensor(Shape.of(1, 2, 4), 1, 0, 0, 0, 0, 0, 0, 0);
        Tensor v = tensor(Shape.of(1, 2, 4), 1, 0, 0, 0, 0, 1, 0, 0);
        double first = Math.E / (Math.E + 1);
        holds(ops.attention(q, k, v, 1, 1, AttentionMask.NONE), first, 1 - first, 0, 0);
    }

    @Test
    void elementwiseOperationsFollowTheirFormulas() {
        Tensor a = tensor(Shape.of(1, 1, 2), 1, -2);
        Tensor b = tensor(Shape.of(1, 1, 2), 3, 5);
        double silu1 = 1 / (1 + Math.exp(-1));
        double silu2 = -2 / (1 + Math.exp(2));
        holds(ops.silu(a), silu1, silu2);
        holds(ops.swiglu(a, b), 3 * silu1, 5 * silu2);
        holds(ops.addScaled(a, b, -0.5), -0.5, -4.5);
        holds(ops.lerp(a, b, 1.5), 4, 8.5);
        Tensor out = ops.alloc(a.shape());
        ops.gatedResidual(a, tensor(Shape.of(1, 2), 2, 0), b, out);
        holds(out, 7, -2);
        ops.copy(b, out);
        holds(out, 3, 5);
    }

    @Test
    void embeddingPicksRowsAndRefusesUnknownIds() {
        Tensor table = tensor(Shape.of(3, 2), 0, 1, 10, 11, 20, 21);
        Tensor out = ops.alloc(Shape.of(1, 2, 2));
        ops.embedding(table, new int[] {2, 0}, out);
        holds(out, 20, 21, 0, 1);
        var error = assertThrows(IllegalArgumentException.class, () -> ops.embedding(table, new int[] {3, 0}, out));
        assertTrue(error.getMessage().contains("3") && error.getMessage().contains("[3, 2]"), error.getMessage());
    }

    @Test
    void geluFollowsItsThreeFormulas() {
        Tensor x = tensor(Shape.of(1, 6), 0, 1, -1, 3, -5, 40);
        holds(ops.gelu(x, Gelu.ERF), 0, 0.8413447460685429, -0.15865525393145707, 2.99595030590511, -1.4332578e-6, 40);
        holds(ops.gelu(x, Gelu.QUICK), 0, 0.8457957659328212, -0.15420423406717876, 2.981928690292214, -1.007016267352369e-3, 40);
        holds(ops.gelu(x, Gelu.TANH), 0, 0.8411919906082768, -0.15880800939172324, 2.996362607918227, -2.2917962e-7, 40);
    }

    @Test
    void theErrorFunctionIsExactOnBothSidesOfItsSeam() {
        assertEquals(0.8413447460685429, Gelu.ERF.of(1), 1e-15);
        assertEquals(2.9959503059051, Gelu.ERF.of(3), 1e-13);
        double seam = 2 * Math.sqrt(2);
        assertEquals(Gelu.ERF.of(Math.nextDown(seam)), Gelu.ERF.of(Math.nextUp(seam)), 1e-14);
        assertEquals(-4.0 * 3.1671241833119965e-5, Gelu.ERF.of(-4), 1e-17);
    }

    @Test
    void affineLayerNormScalesAndShiftsEachChannel() {
        Tensor x = tensor(Shape.of(2, 2), 1, 3, 5, 5);
        double unit = 1 / Math.sqrt(1.25);
        holds(ops.layerNormAffine(x, tensor(Shape.of(2), 2, -1), tensor(Shape.of(2), 10, 20), 0.25),
                10 - 2 * unit, 20 - unit, 10, 20);
    }

    @Test
    void convolutionPadsEachSideAsAskedAndStrides() {
        Tensor x = tensor(Shape.of(1, 2, 3, 1), 1, 2, 3, 4, 5, 6);
        Tensor weight = ops.convWeight(tensor(Shape.of(1, 1, 2, 2), 1, 10, 100, 1000));
        holds(ops.conv2d(x, new Conv2d(weight, null, 1, Conv2d.Padding.NONE)), 5421, 6532);
        holds(ops.conv2d(x, new Conv2d(weight, tensor(Shape.of(1), 0.5f), 2, new Conv2d.Padding(0, 0, 1, 1))), 5421.5, 603.5);
        holds(ops.conv2d(x, new Conv2d(weight, null, 2, new Conv2d.Padding(1, 1, 0, 0))), 1000, 3200);
    }

    @Test
    void convolutionMixesChannelsByTheKernelsOutputThenInput() {
        Tensor x = tensor(Shape.of(1, 1, 2, 2), 1, 2, 3, 4);
        Tensor weight = ops.convWeight(tensor(Shape.of(2, 2, 1, 2), 1, 10, 100, 1000, 2, 20, 200, 2000));
        assertEquals(Shape.of(2, 1, 2, 2), weight.shape());
        holds(ops.conv2d(x, new Conv2d(weight, null, 1, Conv2d.Padding.NONE)), 4231, 8462);
    }

    @Test
    void groupNormTakesItsStatisticsOverPixelsAndTheChannelsOfAGroup() {
        Tensor x = tensor(Shape.of(1, 1, 2, 4), 1, 3, 10, 10, 5, 7, 10, 10);
        holds(ops.groupMoments(x, 2), 4, 10, 5, 0);
        Tensor weight = tensor(Shape.of(4), 1, 2, 3, 4);
        Tensor bias = tensor(Shape.of(4), 0, 1, 2, -2);
        double s = 1 / Math.sqrt(6);
        holds(ops.groupNorm(x, weight, bias, 2, 1, false), -3 * s, 1 - 2 * s, 2, -2, s, 1 + 6 * s, 2, -2);
        double silu = 2 / (1 + Math.exp(-2));
        double rest = -2 / (1 + Math.exp(2));
        float[] found = ops.groupNorm(x, weight, bias, 2, 1, true).toHost().values();
        assertEquals(silu, found[2], 1e-6);
        assertEquals(rest, found[7], 1e-6);
    }

    @Test
    void groupNormTakesOneSetOfStatisticsForAllPictures() {
        Tensor x = tensor(Shape.of(2, 1, 1, 1), 1, 2);
        Tensor one = tensor(Shape.of(1), 1);
        holds(ops.groupMoments(x, 1), 1, 0, 2, 0);
        Tensor out = ops.alloc(x.shape());
        ops.groupNorm(x, tensor(Shape.of(1, 2, 1), 3, 4), one, tensor(Shape.of(1), 0), 0, false, out);
        holds(out, -1, -0.5);
    }

    @Test
    void upsamplingRepeatsPixelsInBothDirections() {
        Tensor x = tensor(Shape.of(1, 2, 1, 2), 1, 2, 3, 4);
        holds(ops.upsampleNearest2x(x), 1, 2, 1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4, 3, 4);
    }
}
