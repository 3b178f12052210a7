package dev.kleinscope.pipeline.dump;

import dev.kleinscope.probe.Pass;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What activations are called in a file: {@code step.N.<point>}, and {@code step.N.uncond.<point>} for the pass without the prompt. */
public final class DumpNames {

    private static final Pattern STEP = Pattern.compile("step\\.([0-9]{1,6})\\.(uncond\\.)?(.+)");

    private DumpNames() {
    }

    /**
     * A name's parts.
     *
     * @param step from 0
     */
    record Parts(int step, Pass pass, String point) {
    }

    /** {@code step.3.proj_out}, {@code step.3.uncond.proj_out}. */
    public static String of(int step, Pass pass, String point) {
        return "step." + step + "." + of(pass, point);
    }

    /** What is of no step: {@code text_encoder.hidden_states.9}, {@code uncond.text_encoder.hidden_states.9}. */
    static String of(Pass pass, String point) {
        return (pass == Pass.COND ? "" : pass.label() + ".") + point;
    }

    /** The parts of a name of a step's; null if it is none. */
    static Parts parse(String name) {
        Matcher step = STEP.matcher(name);
        return step.matches() ? new Parts(Integer.parseInt(step.group(1)), step.group(2) == null ? Pass.COND : Pass.UNCOND, step.group(3)) : null;
    }
}
