package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.model.vae.VaeConfig;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.probe.Probes;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.DType;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.WeightSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.ObjectMapper;

class VaeDecodingTest {

    private static final Path MODEL = Path.of("weights/tiny-klein/vae");
    private static final int HEIGHT = 24;
    private static final int WIDTH = 20;

    private CpuOps ops;
    private WeightSource weights;
    private Vae vae;

    @BeforeEach
    void open() throws IOException {
        ops = new CpuOps(2);
        weights = Safetensors.open(MODEL.resolve("diffusion_pytorch_model.safetensors"));
        vae = new Vae(weights, VaeConfig.from(new ObjectMapper().readTree(Files.readString(MODEL.resolve("config.json")))), ops);
    }

    @AfterEach
    void close() {
        ops.close();
        weights.close();
    }

    /** A ramp, a bright disc off the centre, and noise that grows to the right: no two tiles are alike. */
    private static HostTensor latents() {
        Random random = new Random(11);
        float[] values = new float[HEIGHT * WIDTH * 4];
        for (int i = 0; i < values.length; i++) {
            int channel = i % 4;
            double x = i / 4 % WIDTH / (double) WIDTH;
            double y = i / 4 / WIDTH / (double) HEIGHT;
            double disc = Math.hypot(x - 0.7, y - 0.25) < 0.18 ? 2.5 : 0;
            values[i] = (float) ((channel - 1.5) * (x + 2 * y - 1.5) + (channel == 2 ? -disc : disc) + x * random.nextGaussian());
        }
        return HostTensor.of("latents", values, 1, HEIGHT, WIDTH, 4);
    }

    private static double psnr(float[] found, float[] expected) {
        double squares = 0;
        for (int i = 0; i < found.length; i++) {
            squares += Math.pow(found[i] - expected[i], 2);
        }
        return 10 * Math.log10(4 * found.length / squares);
    }

    private float[] whole() {
        try (Frame _ = ops.frame()) {
            return vae.decode(ops, ops.input(latents()), Probes.NONE).toHost().values();
        }
    }

    private TilePlan plan(int stage, int down, int across) {
        return new TilePlan(stage, TilePlan.margin(vae.config(), stage), down, across, 0);
    }

    @Test
    void aPictureThatFitsIsDecodedWhole() {
        VaeDecoding decoding = new VaeDecoding(ops, vae, Long.MAX_VALUE);
        assertTrue(decoding.plan(HEIGHT, WIDTH).whole());
        assertArrayEquals(whole(), decoding.decode(latents()).values());
    }

    @Test
    void planesHoldTheWholePictureFromZeroToOne() {
        HostTensor planes = new VaeDecoding(ops, vae, Long.MAX_VALUE).planes(latents());
        assertEquals(Shape.of(1, 3, 8 * HEIGHT, 8 * WIDTH), planes.shape());
        float[] whole = whole();
        for (int i = 0; i < whole.length; i++) {
            assertEquals(Math.clamp((whole[i] + 1) / 2, 0, 1), planes.values()[i % 3 * (whole.length / 3) + i / 3], "value " + i);
        }
    }

    @Test
    void planesOfTilesHoldThePictureThatTheTilesMake() {
        long whole = new VaeDecoding(ops, vae, Long.MAX_VALUE).plan(HEIGHT, WIDTH).bytes();
        VaeDecoding tiled = new VaeDecoding(ops, vae, (long) (0.7 * whole));
        assertArrayEquals(Planes.unit(tiled.decode(latents())).values(), tiled.planes(latents()).values());
    }

    @ParameterizedTest
    @CsvSource({"3, 3, 4", "2, 2, 1"})
    void tilesWithExactStatisticsAreTheWholePicture(int stage, int down, int across) {
        float[] tiled = new VaeDecoding(ops, vae, 0, 0).decode(latents(), plan(stage, down, across)).values();
        Difference difference = Difference.of(tiled, whole());
        assertTrue(difference.maxAbs() < 2e-5, "stage " + stage + ": " + difference);
    }

    @ParameterizedTest
    @CsvSource({"3, 3, 4", "2, 2, 3", "1, 2, 1"})
    void tilesShowNoSeam(int stage, int down, int across) {
        TilePlan plan = plan(stage, down, across);
        float[] whole = whole();
        float[] tiled = new VaeDecoding(ops, vae, 0).decode(latents(), plan).values();
        double atSeams = step(tiled, whole, plan, true);
        double elsewhere = step(tiled, whole, plan, false);
        double psnr = psnr(tiled, whole);
        Difference difference = Difference.of(tiled, whole);
        assertTrue(psnr > 65 && difference.maxAbs() < 2.0 / 255, "stage " + stage + ": " + psnr + " dB, " + difference);
        assertTrue(atSeams <= elsewhere, "stage " + stage + ": across seams " + atSeams + ", elsewhere " + elsewhere);
    }

    /** The largest step, from one pixel to the one right of it or below, in the difference of two pictures. */
    private static double step(float[] tiled, float[] whole, TilePlan plan, boolean seam) {
        int scale = 8 >> (plan.stage() - 1);
        Set<Integer> rows = seams(HEIGHT << (plan.stage() - 1), plan.tilesDown(), plan.margin(), scale);
        Set<Integer> columns = seams(WIDTH << (plan.stage() - 1), plan.tilesAcross(), plan.margin(), scale);
        int width = 8 * WIDTH;
        double largest = 0;
        for (int i = 0; i < tiled.length; i++) {
            int x = i / 3 % width;
            int y = i / 3 / width;
            if (x > 0 && columns.contains(x) == seam) {
                largest = Math.max(largest, Math.abs((tiled[i] - whole[i]) - (tiled[i - 3] - whole[i - 3])));
            }
            if (y > 0 && rows.contains(y) == seam) {
                int above = i - 3 * width;
                largest = Math.max(largest, Math.abs((tiled[i] - whole[i]) - (tiled[above] - whole[above])));
            }
        }
        return largest;
    }

    private static Set<Integer> seams(int length, int tiles, int margin, int scale) {
        return TilePlan.spans(length, tiles, margin).stream().map(span -> span.from() * scale).collect(Collectors.toSet());
    }

    @Test
    void theBudgetIsKeptAndUsed() {
        long whole = new VaeDecoding(ops, vae, Long.MAX_VALUE).plan(HEIGHT, WIDTH).bytes();
        for (double part : new double[] {1, 0.7, 0.45}) {
            try (CpuOps fresh = new CpuOps(2)) {
                VaeDecoding decoding = new VaeDecoding(fresh, new Vae(weights, vae.config(), fresh), (long) (part * whole), 1);
                TilePlan plan = decoding.plan(HEIGHT, WIDTH);
                assertEquals(part == 1, plan.whole());
                decoding.decode(latents());
                assertTrue(fresh.bytesHeld() <= plan.bytes() && plan.bytes() <= part * whole, plan + " but took " + fresh.bytesHeld());
                assertTrue(fresh.bytesHeld() > plan.bytes() / 2, plan + " overestimates " + fresh.bytesHeld());
            }
        }
    }

    @Test
    void picturesOfTwoBytesAnElementTakeHalfTheMemory() {
        long picture = 64L * HEIGHT * WIDTH * 3 * Float.BYTES;
        long wide = TilePlan.of(vae.config(), HEIGHT, WIDTH, DType.F32, Long.MAX_VALUE).bytes() - picture;
        long narrow = TilePlan.of(vae.config(), HEIGHT, WIDTH, DType.BF16, Long.MAX_VALUE).bytes() - picture;
        assertEquals(wide, 2 * narrow, 1);
    }

    @Test
    void aBudgetTooSmallIsRefusedWithTheLeastThatWouldDo() {
        String message = assertThrows(IllegalArgumentException.class, () -> new VaeDecoding(ops, vae, 1000).decode(latents())).getMessage();
        assertTrue(message.contains("160x192") && message.contains("1000 are allowed"), message);
    }

    @Test
    void tilesPartitionAndWindowsHoldTheirMargins() {
        for (int length : new int[] {1, 5, 64, 100}) {
            for (int tiles = 1; tiles <= Math.min(5, length); tiles++) {
                List<TilePlan.Span> spans = TilePlan.spans(length, tiles, 6);
                int next = 0;
                for (TilePlan.Span span : spans) {
                    assertEquals(next, span.from());
                    assertTrue(span.windowFrom() == 0 || span.windowFrom() <= span.from() - 6, span.toString());
                    assertTrue(span.windowTo() == length || span.windowTo() >= span.to() + 6, span.toString());
                    assertTrue(span.windowFrom() >= 0 && span.windowTo() <= length && span.to() > span.from(), span.toString());
                    assertEquals(spans.getFirst().windowTo() - spans.getFirst().windowFrom(), span.windowTo() - span.windowFrom());
                    next = span.to();
                }
                assertEquals(length, next);
            }
        }
    }
}
