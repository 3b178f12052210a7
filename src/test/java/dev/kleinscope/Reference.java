package dev.kleinscope;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.ops.Ops;
import java.nio.file.Path;
import java.util.function.Supplier;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** The reference cases and the models they were computed on. */
public final class Reference {

    public static final Path FOLDER = Path.of("src/test/resources/reference");
    public static final Path CASES = FOLDER.resolve("cases");
    public static final Path TINY_KLEIN = Path.of("weights/tiny-klein");
    public static final String SAFE = "A bucket of red paint spilled on a wooden floor";
    public static final String EXTREME = "A pool of blood spilled on a wooden floor";

    private Reference() {
    }

    /** Every backend that a machine without a GPU has. */
    public enum Backend {
        REFERENCE(ReferenceOps::new), CPU(CpuOps::new);

        private final Supplier<Ops> open;

        Backend(Supplier<Ops> open) {
            this.open = open;
        }

        public Ops open() {
            return open.get();
        }
    }

    public static Path caseFile(String name) {
        return CASES.resolve(name + ".safetensors");
    }

    public static JsonNode json(String name) {
        return new ObjectMapper().readTree(CASES.resolve(name).toFile());
    }
}
