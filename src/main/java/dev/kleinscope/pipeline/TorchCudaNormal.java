package dev.kleinscope.pipeline;

import dev.kleinscope.tensor.BFloat16;

/**
 * Unit normals as torch's CUDA generator draws them: each GPU thread owns a Philox subsequence, draws four normals at a
 * time and writes them one grid apart, so the order depends on how many threads the GPU holds. bf16 is rounded f32.
 *
 * <p>Source: PyTorch {@code native/cuda/DistributionTemplates.h}; cuRAND {@code curand_philox4x32_x.h} and
 * {@code curand_normal.h}; Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
 */
final class TorchCudaNormal implements TorchNoise.Generator {

    private static final int THREADS_PER_BLOCK = 256;
    /** 2048 resident threads a multiprocessor, as all data-centre GPUs since Volta have. */
    private static final int BLOCKS_PER_MULTIPROCESSOR = 2048 / THREADS_PER_BLOCK;
    private static final int UNROLL = 4;
    private static final float TWO_PI_2POW_MINUS_32 = 0x1p-32f * 6.2831855f;

    private final int seedLow;
    private final int seedHigh;
    private final long gridLimit;
    private long drawsPerThread;

    TorchCudaNormal(long seed, int multiprocessors) {
        seedLow = (int) seed;
        seedHigh = (int) (seed >>> 32);
        gridLimit = (long) multiprocessors * BLOCKS_PER_MULTIPROCESSOR;
    }

    @Override
    public void fill(TorchNoise.Type type, float[] values) {
        int blocks = (int) Math.min(gridLimit, (values.length + THREADS_PER_BLOCK - 1L) / THREADS_PER_BLOCK);
        int threads = blocks * THREADS_PER_BLOCK;
        int rounds = (int) ((values.length - 1L) / ((long) threads * UNROLL) + 1);
        int[] random = new int[4];
        for (int round = 0; round < rounds; round++) {
            long start = (long) round * threads * UNROLL;
            int active = (int) Math.min(threads, values.length - start);
            for (int thread = 0; thread < active; thread++) {
                philox(drawsPerThread + round, thread, random);
                write(values, start + thread, threads, random[0], random[1]);
                write(values, start + thread + 2L * threads, threads, random[2], random[3]);
            }
        }
        drawsPerThread += rounds;
        if (type == TorchNoise.Type.BF16) {
            for (int i = 0; i < values.length; i++) {
                values[i] = BFloat16.round(values[i]);
            }
        }
    }

    /** Box-Muller: the sine goes to {@code at}, the cosine one grid further, if they lie within the values. */
    private static void write(float[] values, long at, int grid, int x, int y) {
        if (at >= values.length) {
            return;
        }
        float u = Integer.toUnsignedLong(x) * 0x1p-32f + 0x1p-33f;
        // a fused multiply-add on the GPU: the product is exact in f64
        float angle = (float) ((double) (float) Integer.toUnsignedLong(y) * TWO_PI_2POW_MINUS_32 + TWO_PI_2POW_MINUS_32 / 2);
        float radius = (float) Math.sqrt(-2f * (float) Math.log(u));
        values[(int) at] = (float) Math.sin(angle) * radius;
        if (at + grid < values.length) {
            values[(int) at + grid] = (float) Math.cos(angle) * radius;
        }
    }

    /** Philox 4x32 of ten rounds; the counter is (draw, thread), two words each, and the key is the seed. */
    private void philox(long draw, int thread, int[] out) {
        int c0 = (int) draw;
        int c1 = (int) (draw >>> 32);
        int c2 = thread;
        int c3 = 0;
        int k0 = seedLow;
        int k1 = seedHigh;
        for (int round = 0; round < 10; round++) {
            long p0 = 0xD2511F53L * Integer.toUnsignedLong(c0);
            long p1 = 0xCD9E8D57L * Integer.toUnsignedLong(c2);
            c0 = (int) (p1 >>> 32) ^ c1 ^ k0;
            c1 = (int) p1;
            c2 = (int) (p0 >>> 32) ^ c3 ^ k1;
            c3 = (int) p0;
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        out[0] = c0;
        out[1] = c1;
        out[2] = c2;
        out[3] = c3;
    }
}
