package dev.kleinscope.pipeline.validate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.backend.cpu.CpuOps;
import dev.kleinscope.backend.reference.ReferenceOps;
import dev.kleinscope.model.vae.Vae;
import dev.kleinscope.model.vae.VaeConfig;
import dev.kleinscope.ops.Ops;
import dev.kleinscope.weights.ModelException;
import dev.kleinscope.weights.Safetensors;
import dev.kleinscope.weights.WeightSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.ObjectMapper;

/** The autoencoder against diffusers' on small models. */
class VaeCaseTest {

    private static final Path REFERENCE = Path.of("src/test/resources/reference");
    private static final Path TINY = Path.of("weights/tiny-klein/vae");

    private static List<TensorCheck> run(String name, Path model, Ops ops) throws IOException {
        try (WeightSource weights = Safetensors.open(model.resolve("diffusion_pytorch_model.safetensors"));
                ReferenceCase reference = ReferenceCase.open(REFERENCE.resolve("cases/" + name + ".safetensors"))) {
            VaeConfig config = VaeConfig.from(new ObjectMapper().readTree(Files.readString(model.resolve("config.json"))));
            return VaeCase.run(reference, new Vae(weights, config, ops), ops);
        }
    }

    @ParameterizedTest
    @CsvSource({"vae, 14, reference", "vae, 14, cpu", "vae-decoder-widths, 18, reference", "vae-decoder-widths, 18, cpu",
        "vae-noquant, 16, reference", "vae-noquant, 16, cpu"})
    void everyActivationAndBothOutputsAreThePeers(String name, int tensors, String backend) throws IOException {
        try (Ops ops = backend.equals("cpu") ? new CpuOps(2) : new ReferenceOps()) {
            List<TensorCheck> checks = run(name, name.equals("vae") ? TINY : REFERENCE.resolve(name), ops);
            assertEquals(tensors, checks.size());
            for (TensorCheck check : checks) {
                assertTrue(check.within(2e-6), name + " on " + backend + ": " + check);
            }
        }
    }

    @Test
    void aCaseOfAnotherModelIsRefused() throws IOException {
        try (Ops ops = new ReferenceOps()) {
            String message = assertThrows(ModelException.class, () -> run("vae-noquant", TINY, ops)).getMessage();
            assertTrue(message.contains("vae-noquant.safetensors does not fit the model"), message);
        }
    }
}
