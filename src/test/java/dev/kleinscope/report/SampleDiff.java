package dev.kleinscope.report;

import dev.kleinscope.analysis.ActivationDiff;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** A comparison as it could have been made. */
final class SampleDiff {

    private SampleDiff() {
    }

    /** @param a text of the first run wherever it stands in the report */
    static ActivationDiff of(String a, String b) {
        List<ActivationDiff.Row> rows = new ArrayList<>();
        rows.add(row("in.latents", -1, "", 0, 20));
        for (int step = 0; step < 2; step++) {
            for (int block = 0; block < 5; block++) {
                rows.add(row("step." + step + ".transformer_blocks." + block + ".txt", step, "cond", 1e-7 * (1 << 4 * block), 100));
                rows.add(row("step." + step + ".transformer_blocks." + block + ".img", step, "cond", 2e-7 * (1 << 4 * block), 30));
            }
            rows.add(row("step." + step + ".uncond.single_transformer_blocks.0", step, "uncond", Double.POSITIVE_INFINITY, 3));
        }
        rows.add(new ActivationDiff.Row(a, 1, "cond", "[1, 2]", false, "shapes [1, 2] and [2, 1]" + b, null));
        return new ActivationDiff(a, b, 1e-4, rows, List.of(a, "step.0.proj_out"), List.of(b), Map.of("prompt", Arrays.asList(a, b), a, Arrays.asList(null, b)));
    }

    private static ActivationDiff.Row row(String name, int step, String pass, double distance, double norm) {
        return new ActivationDiff.Row(name, step, pass, "[1, 4, 64]", distance <= 1e-4, null, new ActivationDiff.Numbers(distance, distance / 10,
                List.of(0L, 3L, 17L), 1, 1.5f, norm, norm, Double.isInfinite(distance) ? Double.NaN : 1 - distance, 0, Double.isInfinite(distance) ? 1 : 0));
    }
}
