package dev.kleinscope.analysis;

/**
 * One measured number.
 *
 * @param prompt {@code "safe"} or {@code "extreme"}
 * @param seed of the initial noise
 * @param step denoising step, from 0
 * @param pass {@code "cond"}, or {@code "uncond"} for the pass without the prompt
 * @param point probe point, a diffusers module path
 * @param stream {@code "image"}, {@code "prompt"}, {@code "template"}, {@code "padding"}, or {@code "all"} tokens of the point
 * @param measure one of {@link Measure}'s symbols
 * @param value dimensionless
 */
public record NormRow(String prompt, long seed, int step, String pass, String point, String stream, String measure, double value) {
}
