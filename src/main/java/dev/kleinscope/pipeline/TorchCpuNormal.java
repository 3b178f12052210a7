package dev.kleinscope.pipeline;

import dev.kleinscope.tensor.BFloat16;

/**
 * Unit normals as torch's CPU generator draws them.
 *
 * <p>Fewer than 16 values are drawn one by one in f64, the second of each Box-Muller pair being kept for later, even for
 * a later call. 16 and more: uniforms for all, then Box-Muller within blocks of 16 (radius from the first eight, angle
 * from the last eight); if the last block is short, the last 16 values are drawn anew.
 *
 * <p>Source: PyTorch {@code native/cpu/DistributionTemplates.h}, {@code core/DistributionsHelper.h}.
 */
final class TorchCpuNormal implements TorchNoise.Generator {

    private static final int BLOCK = 16;
    private static final int HALF = BLOCK / 2;

    private final MersenneTwister twister;
    private double kept = Double.NaN;

    TorchCpuNormal(long seed) {
        twister = new MersenneTwister(seed);
    }

    @Override
    public void fill(TorchNoise.Type type, float[] values) {
        boolean bf16 = type == TorchNoise.Type.BF16;
        if (values.length < BLOCK) {
            for (int i = 0; i < values.length; i++) {
                float value = (float) single();
                values[i] = bf16 ? BFloat16.round(value) : value;
            }
            return;
        }
        uniforms(bf16, values, 0);
        for (int at = 0; at + BLOCK <= values.length; at += BLOCK) {
            boxMuller(bf16, values, at);
        }
        if (values.length % BLOCK != 0) {
            int last = values.length - BLOCK;
            uniforms(bf16, values, last);
            boxMuller(bf16, values, last);
        }
    }

    /** Uniforms with as many bits as the type's significand: 24 in f32, 8 in bf16. */
    private void uniforms(boolean bf16, float[] values, int from) {
        int mask = bf16 ? 0xff : 0xffffff;
        float scale = bf16 ? 0x1p-8f : 0x1p-24f;
        for (int i = from; i < values.length; i++) {
            values[i] = (twister.bits32() & mask) * scale;
        }
    }

    private static void boxMuller(boolean bf16, float[] values, int at) {
        for (int i = at; i < at + HALF; i++) {
            if (bf16) {
                pairBf16(values, i);
            } else {
                pairF32(values, i);
            }
        }
    }

    private static void pairF32(float[] values, int i) {
        float radius = (float) Math.sqrt(-2f * Cephes.log(1f - values[i]));
        float theta = (float) (2 * Math.PI) * values[i + HALF];
        // adding the mean of zero turns the -0 of a zero radius into 0
        values[i] = radius * Cephes.cos(theta) + 0f;
        values[i + HALF] = radius * Cephes.sin(theta) + 0f;
    }

    /** Every operation rounds to bf16, but for the angle's product, which torch takes in f64. */
    private static void pairBf16(float[] values, int i) {
        float log = BFloat16.round((float) Math.log(1f - values[i]));
        float radius = BFloat16.round((float) Math.sqrt(-2f * log));
        float theta = BFloat16.round((float) (2 * Math.PI * values[i + HALF]));
        float cos = BFloat16.round((float) Math.cos(theta));
        float sin = BFloat16.round((float) Math.sin(theta));
        values[i] = BFloat16.round(radius * cos) + 0f;
        values[i + HALF] = BFloat16.round(radius * sin) + 0f;
    }

    private double single() {
        if (!Double.isNaN(kept)) {
            double value = kept;
            kept = Double.NaN;
            return value;
        }
        double u1 = uniform53();
        double u2 = uniform53();
        double radius = Math.sqrt(-2 * Math.log1p(-u2));
        double theta = 2 * Math.PI * u1;
        kept = radius * Math.sin(theta);
        return radius * Math.cos(theta);
    }

    private double uniform53() {
        return (twister.bits64() & ((1L << 53) - 1)) * 0x1p-53;
    }
}
