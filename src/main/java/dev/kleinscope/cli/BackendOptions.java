package dev.kleinscope.cli;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.ops.Ops;
import java.util.Locale;
import picocli.CommandLine.Option;

/** Which backend a command runs on. */
final class BackendOptions {

    /** The backends there are. */
    enum Backend {
        AUTO, CPU, REFERENCE;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Option(names = "--backend", paramLabel = "B", defaultValue = "auto",
            description = "Where to compute: ${COMPLETION-CANDIDATES}. auto, the default, takes the fastest there is; "
                    + "reference is plain loops, for checking.")
    private Backend backend;

    /** Opens it; the caller closes it. */
    Ops open() {
        return switch (backend) {
            case AUTO, CPU -> new CpuOps();
            case REFERENCE -> new ReferenceOps();
        };
    }

    /** Takes up what an image's metadata recorded, unless the user chose. */
    void restore(String recorded) {
        if (backend == Backend.AUTO) {
            backend = switch (recorded) {
                case "reference" -> Backend.REFERENCE;
                case "cpu" -> Backend.CPU;
                default -> throw new UserInputException("the image was drawn on backend \"" + recorded
                        + "\", which is not here; choose another with --backend, for a picture that is close but not the same");
            };
        }
    }

    /** The name of the one in use. */
    String name() {
        return backend == Backend.REFERENCE ? "reference" : "cpu";
    }
}
