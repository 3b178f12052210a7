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

    /** The name of the one in use. */
    String name() {
        return backend == Backend.REFERENCE ? "reference" : "cpu";
    }
}
