package dev.kleinscope.debug;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.jdi.ArrayReference;
import com.sun.jdi.DoubleValue;
import com.sun.jdi.FloatValue;
import com.sun.jdi.InvocationException;
import com.sun.jdi.ObjectReference;
import com.sun.jdi.Value;
import com.sun.jdi.request.StepRequest;
import dev.kleinscope.Reference;
import dev.kleinscope.model.dit.Dit;
import dev.kleinscope.pipeline.validate.ReferenceCase;
import dev.kleinscope.tensor.Difference;
import dev.kleinscope.tensor.HostTensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/** A debugger at a breakpoint in the model, through the launcher's {@code --debug}. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "skipped: no bash")
class DebuggerTest {

    private static final double TOLERANCE = 5e-5;
    private static final Path CASE = Reference.caseFile("dit-tiny-klein-batch2");
    private static final String TENSOR = "dev.kleinscope.tensor.Tensor";

    @TempDir
    private Path folder;

    @Test
    @Timeout(value = 120, unit = TimeUnit.SECONDS)
    void whatADebuggerSeesInADoubleBlockIsWhatThePeerComputed() throws Exception {
        HostTensor expected;
        try (ReferenceCase reference = ReferenceCase.open(CASE)) {
            expected = reference.values("act.transformer_blocks.4.img");
        }
        try (DebuggedRun run = new DebuggedRun(folder, "validate", "-m", Reference.TINY_KLEIN.toString(), "--case", CASE.toString(),
                "--backend", "cpu", "--json")) {
            run.runTo(Dit.class, "DoubleBlock", "forward", "Tensor imgOut =", 5);
            for (String local : List.of("qkv", "q", "k", "v", "attn", "out", "txtOut", "imgOut")) {
                assertEquals(TENSOR, run.local(local).referenceType().name(), local);
                assertTrue(run.text(run.local(local)).startsWith("transformer_blocks.4"), local + " is " + run.text(run.local(local)));
            }
            ObjectReference imgOut = run.local("imgOut");
            String line = run.text(imgOut);
            assertTrue(line.startsWith(String.format(Locale.ROOT, "transformer_blocks.4.img f32%s cpu |x|=", expected.shape())), line);
            double shown = Double.parseDouble(line.replaceFirst(".*\\|x\\|=", "").replaceFirst(" .*", ""));
            assertEquals(expected.norm(), shown, 5e-3 * expected.norm(), line);

            assertClose(expected.values(), values(run, imgOut, "toHost", "()Ldev/kleinscope/tensor/HostTensor;"));
            assertClose(expected.row(0), values(run, imgOut, "row", "(J)Ldev/kleinscope/tensor/HostTensor;", run.number(0)));
            ObjectReference stats = (ObjectReference) run.evaluate(imgOut, "stats", "()Ldev/kleinscope/tensor/TensorStats;");
            double norm = ((DoubleValue) run.evaluate(stats, "norm", "()D")).value();
            assertEquals(expected.norm(), norm, TOLERANCE * expected.norm(), "norm");
            String strongest = "energy by channel: " + expected.stats().topChannels().getFirst().index() + ": ";
            assertTrue(run.text(stats).contains(strongest), run.text(stats) + " does not name " + strongest);
            ObjectReference histogram = (ObjectReference) run.evaluate(imgOut, "histogram", "()Ldev/kleinscope/tensor/Histogram;");
            assertEquals(21, run.text(histogram).lines().count(), run.text(histogram));
            assertThrows(InvocationException.class, () -> run.evaluate(imgOut, "row", "(J)Ldev/kleinscope/tensor/HostTensor;",
                    run.number(1L << 40)));

            ObjectReference attn = run.local("attn");
            int stoppedAt = run.location().lineNumber();
            run.step(StepRequest.STEP_OVER);
            assertNotEquals(stoppedAt, run.location().lineNumber(), "the line after a step");
            run.step(StepRequest.STEP_OUT);
            assertEquals("velocity", run.location().method().name());
            String freed = run.text(attn);
            assertTrue(freed.matches("transformer_blocks\\.4 attn .* \\(freed by frame \\d+ of cpu \\(DoubleBlock\\.java:\\d+\\)\\)"), freed);
            assertEquals(line, run.text(imgOut), "the result that left the block");

            assertEquals(0, run.finish(), run.messages());
            JsonNode result = new ObjectMapper().readTree(run.output());
            assertEquals(1, result.path("passed").asInt(), run.output());
            assertTrue(run.messages().contains("waiting for a debugger at localhost:"), run.messages());
        }
    }

    @Test
    void aPortThatIsNoneIsRefused() throws Exception {
        for (String option : List.of("--debug=", "--debug=0", "--debug=65536", "--debug=one")) {
            Process process = DebuggedRun.launcher(option).redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes());
            assertEquals(2, process.waitFor(), output);
            assertTrue(output.contains("expected --debug or --debug=PORT"), output);
        }
    }

    private static float[] values(DebuggedRun run, ObjectReference tensor, String method, String signature, Value... arguments)
            throws Exception {
        ObjectReference host = (ObjectReference) run.evaluate(tensor, method, signature, arguments);
        List<Value> values = ((ArrayReference) run.evaluate(host, "values", "()[F")).getValues();
        float[] floats = new float[values.size()];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = ((FloatValue) values.get(i)).value();
        }
        return floats;
    }

    private static void assertClose(float[] expected, float[] found) {
        Difference difference = Difference.of(found, expected);
        assertTrue(difference.relativeL2() <= TOLERANCE, difference.toString());
    }
}
