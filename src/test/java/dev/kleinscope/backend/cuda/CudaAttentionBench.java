package dev.kleinscope.backend.cuda;

import dev.kleinscope.ops.AttentionMask;
import dev.kleinscope.ops.Frame;
import dev.kleinscope.tensor.HostTensor;
import dev.kleinscope.tensor.Shape;
import dev.kleinscope.tensor.Tensor;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Prints what attention takes on the GPU and, in front of a busy stream, on the host. Run by hand:
 * {@code mvn -q test-compile && java --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED
 * -cp target/classes:target/test-classes dev.kleinscope.backend.cuda.CudaAttentionBench}.
 */
final class CudaAttentionBench {

    private static final int REPEATS = 9;
    private static final int CALLS = 100;

    private CudaAttentionBench() {
    }

    public static void main(String[] arguments) {
        try (CudaOps ops = new CudaOps(Precision.BF16); Frame _ = ops.frame()) {
            System.out.println(ops.describe());
            for (int tokens : new int[] {768, 1536, 4608}) {
                timeShares(ops, tokens, 24, 128, 12);
            }
            time(ops, 512, 32, 8, 128, new AttentionMask(true, new long[] {512}));
            time(ops, 512, 32, 8, 128, new AttentionMask(true, new long[] {37}));
            time(ops, 77, 12, 12, 64, new AttentionMask(true, null));
            time(ops, 257, 16, 16, 64, AttentionMask.NONE);
            for (int tokens : new int[] {768, 1536, 4608}) {
                time(ops, tokens, 24, 24, 128, AttentionMask.NONE);
                time(ops, tokens, 24, 24, 128, new AttentionMask(false, new long[] {tokens - 1}));
            }
        }
    }

    private static void time(CudaOps ops, int tokens, int heads, int kvHeads, int headDim, AttentionMask mask) {
        try (Frame _ = ops.frame()) {
            Tensor q = random(ops, tokens, heads * headDim);
            Tensor k = random(ops, tokens, kvHeads * headDim);
            Tensor v = random(ops, tokens, kvHeads * headDim);
            Tensor out = ops.alloc(q.shape());
            double[] device = new double[REPEATS];
            double[] host = new double[REPEATS];
            for (int repeat = -2; repeat < REPEATS; repeat++) {
                long start = System.nanoTime();
                for (int call = 0; call < CALLS; call++) {
                    ops.attention(q, k, v, heads, kvHeads, mask, out);
                }
                long queued = System.nanoTime();
                out.slice(1, 0, 1).slice(2, 0, 1).toHost();
                if (repeat >= 0) {
                    device[repeat] = (System.nanoTime() - start) / 1e3 / CALLS;
                    host[repeat] = (queued - start) / 1e3 / CALLS;
                }
            }
            System.out.printf(Locale.ROOT, "%5d tokens, %d/%d heads of %d, causal %b, valid %s: %.1f us, queued in %.1f us%n", tokens,
                    heads, kvHeads, headDim, mask.causal(), Arrays.toString(mask.validKeys()), median(device), median(host));
        }
    }

    private static void timeShares(CudaOps ops, int tokens, int heads, int headDim, int count) {
        try (Frame _ = ops.frame()) {
            Tensor q = random(ops, tokens, heads * headDim);
            Tensor k = random(ops, tokens, heads * headDim);
            int[] groups = IntStream.range(0, tokens).map(token -> Math.min(count - 1, token / 8)).toArray();
            double[] device = new double[REPEATS];
            for (int repeat = -1; repeat < REPEATS; repeat++) {
                long start = System.nanoTime();
                try (Frame _ = ops.frame()) {
                    ops.attentionShares(q, k, heads, groups, count).slice(1, 0, 1).toHost();
                }
                if (repeat >= 0) {
                    device[repeat] = (System.nanoTime() - start) / 1e6;
                }
            }
            System.out.printf(Locale.ROOT, "%5d tokens, %d heads of %d: shares of %d groups in %.2f ms%n", tokens, heads, headDim, count,
                    median(device));
        }
    }

    private static double median(double[] values) {
        Arrays.sort(values);
        return values[values.length / 2];
    }

    private static Tensor random(CudaOps ops, int tokens, int channels) {
        Random random = new Random(tokens + channels);
        float[] values = new float[tokens * channels];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        Tensor tensor = ops.alloc(Shape.of(1, tokens, channels));
        ops.copy(ops.input(HostTensor.of("random", values, 1, tokens, channels)), tensor);
        return tensor;
    }
}
