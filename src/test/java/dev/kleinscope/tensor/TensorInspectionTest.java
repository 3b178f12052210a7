package dev.kleinscope.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What a debugger shows of tensors. */
class TensorInspectionTest {

    private static final int LARGE = 3 << 20;

    @Test
    void aLineTellsNameTypeShapeDeviceNormAndFirstValues() {
        assertEquals("transformer_blocks.4.img f32[1, 2, 3] cpu |x|=5.48 [3.000, -4.000, 0.000, 2.000, ...]",
                tensor("transformer_blocks.4.img", new float[] {3, -4, 0, 2, 1, 0}, 1, 2, 3).toString());
        assertEquals("two f32[2] cpu |x|=5.00 [3.000, -4.000]", tensor("two", new float[] {3, -4}, 2).toString());
        assertEquals("one f32[] cpu |x|=2.00 [-2.000]", tensor("one", new float[] {-2}).toString());
        assertEquals("none f32[0, 3] cpu |x|=0.00 []", tensor("none", new float[0], 0, 3).toString());
        assertEquals("nan f32[2] cpu |x|=NaN [1.000, NaN]", tensor("nan", new float[] {1, Float.NaN}, 2).toString());
    }

    @Test
    void valuesOnTheHostAreShownAlike() {
        assertEquals("x f32[2] cpu |x|=5.00 [3.000, -4.000]", HostTensor.of("x", new float[] {3, -4}, 2).toString());
    }

    @Test
    void aSliceOfPixelsIsReadAsItLies() {
        float[] values = new float[2 * 5 * 7 * 3];
        for (int i = 0; i < values.length; i++) {
            values[i] = i;
        }
        Tensor window = tensor("picture", values, 2, 5, 7, 3).slice(1, 1, 4).slice(2, 2, 6).slice(3, 1, 3);
        float[] expected = new float[2 * 3 * 4 * 2];
        int n = 0;
        for (int b = 0; b < 2; b++) {
            for (int y = 1; y < 4; y++) {
                for (int x = 2; x < 6; x++) {
                    for (int c = 1; c < 3; c++) {
                        expected[n++] = values[((b * 5 + y) * 7 + x) * 3 + c];
                    }
                }
            }
        }
        assertArrayEquals(expected, window.toHost().values());
        for (int row = 0; row < 24; row++) {
            assertArrayEquals(Arrays.copyOfRange(expected, 2 * row, 2 * row + 2), window.row(row).values(), "row " + row);
        }
        assertArrayEquals(expected, tensor("picture", values, 2, 5, 7, 3).toHost().slice(1, 1, 4).slice(2, 2, 6).slice(3, 1, 3).values());
    }

    @Test
    void aLargeTensorIsReadUntilTheTimeIsUp() {
        float[] values = new float[LARGE];
        Arrays.fill(values, 2);
        Tensor large = tensor("large", values, 1024, LARGE / 1024);
        assertEquals("large f32[1024, 3072] cpu |x|>=2.05e+03 [2.000, 2.000, 2.000, 2.000, ...] "
                + "(norm of the first 33%; stats() reads all)", large.toString(0));
        String all = large.toString(Long.MAX_VALUE / 2);
        assertTrue(all.contains("|x|=3.55e+03 "), all);
    }

    @Test
    void whatCannotBeReadIsSaidNotThrown() {
        Tensor packed = Tensor.of("fp4", DType.F4, Shape.of(4), new HostStorage(MemorySegment.ofArray(new byte[2])));
        assertTrue(packed.toString().startsWith("fp4 f4[4] cpu (values not readable: values of type F4 "), packed.toString());
        Tensor endless = Tensor.of("endless", DType.F32, Shape.of(1L << 40, 1L << 40), new HostStorage(MemorySegment.NULL));
        assertTrue(endless.toString().contains("(values not readable: "), endless.toString());
        Tensor vast = Tensor.of("vast", DType.F32, Shape.of(1L << 20, 1L << 20), new HostStorage(MemorySegment.NULL));
        assertTrue(vast.toString().contains("(values not readable: "), vast.toString());
        var refused = assertThrows(ArithmeticException.class, vast::toHost);
        assertTrue(refused.getMessage().contains("vast[1048576, 1048576] has 1099511627776 elements"), refused.getMessage());
    }

    @Test
    void aFreedTensorSaysWhatFreedItHoweverItIsLookedAt() {
        HostStorage storage = new HostStorage(MemorySegment.ofArray(new float[6]));
        Tensor freed = Tensor.of("x", DType.F32, Shape.of(2, 3), storage);
        storage.free("frame 7 of cpu");
        assertEquals("x f32[2, 3] cpu (freed by frame 7 of cpu)", freed.toString());
        for (Runnable look : new Runnable[] {freed::toHost, () -> freed.row(1), freed::stats, freed::histogram,
            () -> freed.slice(0, 1, 2).toHost()}) {
            var error = assertThrows(IllegalStateException.class, look::run);
            assertTrue(error.getMessage().contains("used after frame 7 of cpu freed it"), error.getMessage());
            assertTrue(error.getMessage().startsWith("x["), error.getMessage());
        }
    }

    @Test
    void rowsOutsideTheTensorAreNamed() {
        Tensor x = tensor("x", new float[6], 2, 3);
        var error = assertThrows(IndexOutOfBoundsException.class, () -> x.row(2));
        assertEquals("x[2, 3] has rows 0 to 1, not 2", error.getMessage());
        assertThrows(IndexOutOfBoundsException.class, () -> x.row(-1));
    }

    @Test
    void statisticsFindTheChannelsAndTokensThatCarryTheEnergy() {
        float[] values = new float[50 * 16];
        Arrays.fill(values, 0.5f);
        for (int token = 0; token < 50; token++) {
            values[token * 16 + 11] = 30;
            values[token * 16 + 3] = -10;
        }
        values[7 * 16 + 3] = -200;
        TensorStats stats = tensor("x", values, 2, 25, 16).stats();
        double rest = 50 * 14 * 0.25;
        double channel11 = 50 * 900.0;
        double channel3 = 49 * 100.0 + 40000;
        double energy = rest + channel11 + channel3;
        assertEquals(Math.sqrt(energy), stats.norm(), 1e-9 * stats.norm());
        assertEquals(11, stats.topChannels().get(0).index());
        assertEquals(channel11 / energy, stats.topChannels().get(0).share(), 1e-12);
        assertEquals(3, stats.topChannels().get(1).index());
        assertEquals(channel3 / energy, stats.topChannels().get(1).share(), 1e-12);
        assertEquals(8, stats.topChannels().size());
        assertEquals(Math.sqrt(rest), stats.normWithout(2), 1e-6 * Math.sqrt(rest));
        assertEquals(7, stats.topTokens().get(0).index());
        assertEquals((40000 + 900 + 14 * 0.25) / energy, stats.topTokens().get(0).share(), 1e-12);
        assertEquals(0, stats.topTokens().get(1).index(), "the first of equals");
        assertEquals(-200, stats.min());
        assertEquals(30, stats.max());
    }

    @Test
    void meanAndDeviationKeepTheirDigitsFarFromZero() {
        float[] values = new float[100_000];
        Random random = new Random(1);
        double mean = 0;
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (1e5 + random.nextGaussian());
            mean += (double) values[i] / values.length;
        }
        double variance = 0;
        for (float value : values) {
            variance += (value - mean) * (value - mean) / values.length;
        }
        TensorStats stats = tensor("x", values, values.length).stats();
        assertEquals(mean, stats.mean(), 1e-6);
        assertEquals(Math.sqrt(variance), stats.std(), 1e-8);
    }

    @Test
    void statisticsAreOfTheFiniteValuesAndCountTheOthers() {
        TensorStats stats = tensor("x", new float[] {Float.NaN, 3, Float.POSITIVE_INFINITY, -4, Float.NEGATIVE_INFINITY, Float.NaN}, 2, 3)
                .stats();
        assertEquals(2, stats.nans());
        assertEquals(2, stats.infinities());
        assertEquals(5, stats.norm(), 1e-12);
        assertEquals(-0.5, stats.mean(), 1e-12);
        assertEquals(-4, stats.min());
        assertEquals(3, stats.max());
        assertTrue(stats.toString().contains("besides 2 NaN and 2 infinite"), stats.toString());
        TensorStats none = tensor("x", new float[] {Float.NaN}, 1).stats();
        assertEquals(0, none.norm());
        assertTrue(Double.isNaN(none.max()));
        assertEquals(0, none.topChannels().getFirst().share());
    }

    @Test
    void statisticsOfALargeSliceAreThoseOfItsCopy() {
        float[] values = new float[LARGE];
        Random random = new Random(2);
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        Tensor slice = tensor("x", values, 1, 1536, 2048).slice(2, 100, 1500);
        HostTensor copy = slice.toHost();
        assertEquals(copy.norm(), slice.stats().norm(), 1e-9 * copy.norm());
        assertEquals(copy.stats(), slice.stats());
    }

    @Test
    void aHistogramCountsEachValueOnce() {
        Histogram histogram = tensor("x", new float[] {0, 0.5f, 1, 1.5f, 2, 4, Float.NaN}, 7).histogram(4);
        assertArrayEquals(new double[] {0, 1, 2, 3, 4}, histogram.edges());
        assertArrayEquals(new long[] {2, 2, 1, 1}, histogram.counts());
        assertEquals(1, histogram.notFinite());
        Histogram zoomed = tensor("x", new float[] {0, 0.5f, 1, 1.5f, 2, 4}, 6).histogram(2, 0.5, 2);
        assertArrayEquals(new long[] {2, 2}, zoomed.counts());
        assertEquals(1, zoomed.below());
        assertEquals(1, zoomed.above());
    }

    @Test
    void aHistogramOfEqualOrOfNoValuesHasItsBins() {
        assertEquals(3, Arrays.stream(tensor("x", new float[] {1e30f, 1e30f, 1e30f}, 3).histogram().counts()).sum());
        assertEquals(3, Arrays.stream(tensor("x", new float[3], 3).histogram().counts()).sum());
        assertEquals(20, tensor("x", new float[0], 0).histogram().counts().length);
        assertThrows(IllegalArgumentException.class, () -> tensor("x", new float[3], 3).histogram(0));
        assertThrows(IllegalArgumentException.class, () -> tensor("x", new float[3], 3).histogram(4, 1, 1));
    }

    @Test
    void aHistogramIsDrawn() {
        String drawn = tensor("x", new float[] {0, 0, 0, 3}, 4).histogram(3).toString();
        assertEquals("""
                x, bars logarithmic
                      0.000 to       1.000 |######################################## 3
                      1.000 to       2.000 |                                         0
                      2.000 to       3.000 |####################                     1""",
                drawn.replace(System.lineSeparator(), "\n"));
    }

    private static Tensor tensor(String name, float[] values, long... dims) {
        return Tensor.of(name, DType.F32, new Shape(dims), new HostStorage(MemorySegment.ofArray(values)));
    }
}
