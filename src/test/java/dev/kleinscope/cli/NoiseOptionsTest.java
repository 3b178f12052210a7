package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NoiseOptionsTest {

    @ParameterizedTest
    @ValueSource(strings = {"0", "-1", "2147483647"})
    void aGpuHasSomeMultiprocessors(String count) {
        StringWriter err = new StringWriter();
        assertEquals(ExitCodes.BAD_INPUT, Main.run(new PrintWriter(new StringWriter()), new PrintWriter(err, true),
                "generate", "-p", "x", "--size", "16x16", "--max-tokens", "16", "--noise", "torch-cuda", "--noise-sms", count));
        assertTrue(err.toString().contains("--noise-sms " + count + ": expected a whole number from 1 to 10000"), err.toString());
    }
}
