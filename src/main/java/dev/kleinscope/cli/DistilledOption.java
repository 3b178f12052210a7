package dev.kleinscope.cli;

import dev.kleinscope.pipeline.Klein;
import picocli.CommandLine.Option;

/** Whether a model needs no guidance. */
final class DistilledOption {

    @Option(names = "--distilled", paramLabel = "BOOL", arity = "1",
            description = "Whether the model is distilled (true or false), whatever its folder says.")
    private Boolean distilled;

    boolean of(Klein klein, Console console) {
        if (distilled != null) {
            return distilled;
        }
        if (klein.distilled() == null) {
            console.note("the model does not tell whether it is distilled: taken to be; --distilled false says otherwise");
            return true;
        }
        return klein.distilled();
    }

    /** Takes up what an image's metadata recorded. */
    void restore(boolean recorded) {
        distilled = recorded;
    }
}
