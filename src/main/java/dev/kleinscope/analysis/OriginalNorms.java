package dev.kleinscope.analysis;

import java.util.List;
import java.util.Map;

/**
 * What the original study's first script prints, and what is wrong with it.
 *
 * @param layers in the script's order
 * @param spikes layers whose ratio exceeds {@link #THRESHOLD}
 * @param parameters everything needed to repeat the run, in order
 * @param finding the script's verdict in one sentence
 * @param defects what is wrong with the method, a sentence or two each
 */
public record OriginalNorms(List<Layer> layers, List<String> spikes, Map<String, Object> parameters, String finding, List<String> defects) {

    /** The script calls a larger ratio a spike. */
    public static final double THRESHOLD = 1.5;

    /**
     * One block.
     *
     * @param layer {@code DoubleStream_Layer_0} .. {@code SingleStream_Layer_19}
     * @param safeAvg mean over calls of the L2 norm, safe prompt
     * @param extremeAvg the same, extreme prompt
     * @param safe norm at each call
     * @param extreme norm at each call
     */
    public record Layer(String layer, double safeAvg, double extremeAvg, List<Double> safe, List<Double> extreme) {

        public double ratio() {
            return extremeAvg / safeAvg;
        }
    }
}
