package dev.kleinscope.pipeline;

import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.model.dit.DitConfig;
import dev.kleinscope.model.text.Qwen3Config;
import dev.kleinscope.model.text.TextEncoder;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.pipeline.validate.*;
import dev.kleinscope.weights.Safetensors;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.ObjectMapper;

class CasesTest {
    static final Path CASES = Path.of("src/test/resources/reference/cases");

    @Test
    void tmp() throws Exception {
        ObjectMapper json = new ObjectMapper();
        for (String name : new String[] {"dit-tiny-klein", "dit-tiny-klein-batch2", "dit-tiny-klein-refimage", "dit-head128"}) {
            Path model = name.contains("head128") ? Path.of("src/test/resources/reference/dit-head128") : Path.of("weights/tiny-klein/transformer");
            long t0 = System.nanoTime();
            try (Ops ops = new ReferenceOps(); Safetensors w = Safetensors.open(model.resolve("diffusion_pytorch_model.safetensors"));
                    ReferenceCase c = ReferenceCase.open(CASES.resolve(name + ".safetensors"))) {
                Dit dit = new Dit(w, DitConfig.from(json.readTree(model.resolve("config.json").toFile())), ops);
                var checks = DitCase.run(c, dit, ops);
                System.out.println(name + " " + (System.nanoTime() - t0) / 1000000 + " ms");
                checks.stream().filter(k -> !k.within(5e-5)).forEach(k -> System.out.println("  BAD " + k));
                System.out.println("  worst " + checks.stream().max(java.util.Comparator.comparingDouble(k -> k.difference() == null ? 9 : k.difference().relativeL2())).get());
            }
        }
        Path te = Path.of("weights/tiny-klein/text_encoder");
        try (Ops ops = new ReferenceOps(); Safetensors w = Safetensors.open(te.resolve("model.safetensors"));
                ReferenceCase c = ReferenceCase.open(CASES.resolve("text-encoder.safetensors"))) {
            TextEncoder enc = new TextEncoder(w, Qwen3Config.from(json.readTree(te.resolve("config.json").toFile())), ops);
            for (var k : TextEncoderCase.run(c, enc, null, ops)) System.out.println(k);
        }
    }
}
