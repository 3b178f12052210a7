package dev.kleinscope.analysis;

/**
 * One measure of the extreme prompt against the safe one, at one block, stream, step and pass.
 *
 * @param point probe point
 * @param stream as in {@link NormRow}
 * @param step denoising step, from 0
 * @param pass as in {@link NormRow}
 * @param measure what is compared
 * @param d mean over seeds of {@code ln(extreme / safe)} (n, N, u) or of {@code extreme - safe} (kappa, m)
 * @param spread standard deviation of the same over seeds; NaN for one seed
 * @param seeds repeats
 */
public record Contrast(String point, String stream, int step, String pass, Measure measure, double d, double spread, int seeds) {
}
