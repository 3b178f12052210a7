package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.ops.RunInterruptedException;
import dev.kleinscope.weights.ModelException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class MainTest {

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int run(String... args) {
        return Main.run(new PrintWriter(out, true), new PrintWriter(err, true), args);
    }

    @ParameterizedTest
    @ValueSource(strings = {"norms --seeds", "norms --points", "channels --seeds", "channels --points", "patch --from a --to b --streams",
        "patch --from a --to b --metric", "patch --from a --to b --points", "attention -p a --blocks", "attention -p a --words",
        "bench --size", "bench --what", "bench --threads", "dump -p a --points", "diff a b --points", "diff -p a --backends",
        "interpolate --from a --to b -o x --seeds", "synth --config klein-4b -o x --component"})
    void aListWithoutEntriesIsRefused(String command) {
        String[] args = (command + " ,").split(" ");
        assertEquals(ExitCodes.BAD_INPUT, run(args), err.toString());
        String option = args[args.length - 2];
        assertTrue(err.toString().contains(option + ": expected values separated by commas, found none"), err.toString());
    }

    @Command(name = "fail")
    private static final class Failing implements Callable<Integer> {

        private final Throwable failure;

        private Failing(Throwable failure) {
            this.failure = failure;
        }

        @Override
        public Integer call() throws Exception {
            switch (failure) {
                case Exception e -> throw e;
                case Error e -> throw e;
                default -> throw new AssertionError(failure);
            }
        }
    }

    private int fail(Throwable failure, String... options) {
        CommandLine line = Main.commandLine(new PrintWriter(out, true), new PrintWriter(err, true));
        line.addSubcommand(new Failing(failure));
        line.setErr(new PrintWriter(err, true));
        String[] args = new String[options.length + 1];
        args[0] = "fail";
        System.arraycopy(options, 0, args, 1, options.length);
        return Main.execute(line, args);
    }

    @Test
    void helpGoesToStandardOutput() {
        assertEquals(ExitCodes.OK, run("--help"));
        assertTrue(out.toString().contains("doctor"), out.toString());
        assertEquals("", err.toString());
    }

    @Test
    void everyCommandHasHelp() {
        CommandLine line = Main.commandLine(new PrintWriter(out), new PrintWriter(err));
        for (String command : line.getSubcommands().keySet()) {
            out.getBuffer().setLength(0);
            assertEquals(ExitCodes.OK, run(command, "--help"), command);
            assertTrue(out.toString().contains("Usage: kleinscope " + command), out.toString());
        }
    }

    @Test
    void versionNamesKleinscopeJavaAndSystem() {
        assertEquals(ExitCodes.OK, run("--version"));
        assertTrue(out.toString().matches("(?s)kleinscope \\d+\\.\\d+\\.\\d+\\S*\\RJava .*\\R.+"), out.toString());
    }

    @Test
    void anUnknownOptionIsBadUsageInOneSentence() {
        assertEquals(ExitCodes.BAD_INPUT, run("doctor", "--jsn"));
        assertEquals("", out.toString());
        assertTrue(err.toString().startsWith("kleinscope: Unknown option: '--jsn'"), err.toString());
        assertTrue(err.toString().contains("See: kleinscope doctor --help"), err.toString());
    }

    @Test
    void anUnknownCommandIsNamedAndTheLikelyOneOffered() {
        assertEquals(ExitCodes.BAD_INPUT, run("docter"));
        assertTrue(err.toString().startsWith("kleinscope: there is no command 'docter'"), err.toString());
        assertTrue(err.toString().contains("Did you mean: kleinscope doctor"), err.toString());
    }

    @Test
    void noCommandIsBadUsage() {
        assertEquals(ExitCodes.BAD_INPUT, run());
        assertEquals("", out.toString());
    }

    @Test
    void colourIsOnDemandOnly() {
        assertEquals(ExitCodes.OK, run("--color=always", "--help"));
        assertTrue(out.toString().contains("\u001b["), out.toString());
        out.getBuffer().setLength(0);
        assertEquals(ExitCodes.OK, run("--color=never", "--help"));
        assertFalse(out.toString().contains("\u001b["), out.toString());
        assertTrue(out.toString().contains("auto, always, never"), out.toString());
    }

    @Test
    void aCommandTakesColourToo() {
        assertEquals(ExitCodes.OK, run("doctor", "--color=always", "--help"));
        assertTrue(out.toString().contains("\u001b["), out.toString());
    }

    @Test
    void completionKnowsTheCommands() {
        assertEquals(ExitCodes.OK, run("generate-completion"));
        assertTrue(out.toString().contains("_complete_kleinscope"), "no completion function");
        assertTrue(out.toString().contains("doctor"), "no doctor");
    }

    @Test
    void doctorPrintsJsonAndNothingElse() {
        assertEquals(ExitCodes.OK, run("doctor", "--json"));
        JsonNode doctor = JsonMapper.shared().readTree(out.toString());
        assertEquals(Runtime.getRuntime().availableProcessors(), doctor.get("cores").asInt());
        assertTrue(doctor.get("memory").get("total").asLong() > 0, out.toString());
        assertEquals(4, doctor.get("libraries").size());
        assertTrue(doctor.get("tokenizers").get("loads").asBoolean(), out.toString());
        assertEquals("", err.toString());
    }

    @Test
    void doctorPrintsATable() {
        assertEquals(ExitCodes.OK, run("doctor"));
        assertTrue(out.toString().contains("backend      auto uses cpu"), out.toString());
    }

    @Test
    void wrongInputIsTwo() {
        assertEquals(ExitCodes.BAD_INPUT, fail(new UserInputException("pairs.csv: line 3: expected 2 columns, found 1")));
        assertEquals("kleinscope: pairs.csv: line 3: expected 2 columns, found 1", err.toString().strip());
    }

    @Test
    void aWrongModelIsTwo() {
        assertEquals(ExitCodes.BAD_INPUT, fail(new ModelException("vae: no such folder")));
    }

    @Test
    void aMissingFileIsTwoAndNamed() {
        assertEquals(ExitCodes.BAD_INPUT, fail(new UncheckedIOException(new NoSuchFileException("pairs.csv"))));
        assertEquals("kleinscope: pairs.csv: no such file or folder", err.toString().strip());
    }

    @Test
    void anAbsentDeviceIsThree() {
        assertEquals(ExitCodes.UNAVAILABLE, fail(new UnavailableException("no CUDA driver")));
    }

    @Test
    void lackOfMemoryIsThreeAndSaysWhatToLower() {
        assertEquals(ExitCodes.UNAVAILABLE, fail(new OutOfMemoryError("Java heap space")));
        assertTrue(err.toString().contains("lower the image size"), err.toString());
    }

    @Test
    void aModelThatShrinksIsTwo() throws Exception {
        assertEquals(ExitCodes.BAD_INPUT, fail(ShrinkingFile.fault()));
        assertTrue(err.toString().contains("a model file changed while it was in use"), err.toString());
    }

    @Test
    void anInterruptedRunIs130() {
        assertEquals(ExitCodes.INTERRUPTED, fail(new RunInterruptedException("stopped before step 2")));
        assertEquals("kleinscope: interrupted", err.toString().strip());
    }

    @Test
    void aDefectIs70AndKeepsItsStackTrace() throws Exception {
        assertEquals(ExitCodes.DEFECT, fail(new IllegalStateException("two frames are open")));
        assertTrue(err.toString().contains("IllegalStateException: two frames are open"), err.toString());
        Matcher log = Pattern.compile("The stack trace is in (.*\\.log)").matcher(err.toString());
        assertTrue(log.find(), err.toString());
        Path file = Path.of(log.group(1));
        assertTrue(Files.readString(file).contains("\tat "), file.toString());
        Files.delete(file);
    }

    @Test
    void aDefectShowsItsStackTraceOnDemand() {
        assertEquals(ExitCodes.DEFECT, fail(new StackOverflowError(), "--debug-trace"));
        assertTrue(err.toString().contains("\tat "), err.toString());
    }
}
