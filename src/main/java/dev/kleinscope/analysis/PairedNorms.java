package dev.kleinscope.analysis;

import java.util.List;
import java.util.Map;

/**
 * What the paired protocol measured of one pair of prompts.
 *
 * @param safe the safe prompt
 * @param extreme the extreme prompt
 * @param blocks probe points of block outputs in order of computation, for instance {@code transformer_blocks.0.img},
 *     {@code transformer_blocks.0.txt}, ..., {@code single_transformer_blocks.19}; all points if no block output was measured
 * @param branches other measured points, in order of computation
 * @param rows every measured number
 * @param contrasts extreme against safe
 * @param tokens for each stream how many tokens it has, safe then extreme
 * @param parameters everything needed to repeat the run, in order
 * @param finding one sentence
 * @param limits what this run cannot show, a sentence each
 */
public record PairedNorms(String safe, String extreme, List<String> blocks, List<String> branches, List<NormRow> rows,
        List<Contrast> contrasts, Map<String, long[]> tokens, Map<String, Object> parameters, String finding, List<String> limits) {
}
