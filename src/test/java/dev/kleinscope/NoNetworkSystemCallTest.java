package dev.kleinscope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kleinscope.cli.Main;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Watches a whole run from outside, native code included. Skipped where the system has no means for it. */
class NoNetworkSystemCallTest {

    private static final Pattern REMOTE = Pattern.compile("sa_family=AF_INET6?\\b(?!.*(\"127\\.|\"::1\"|::ffff:127\\.))");

    @TempDir
    private Path folder;

    @Test
    void straceSeesAChannelConnect() throws Exception {
        List<String> attempts = traced(NetworkAttempt.class.getName());
        assertFalse(attempts.isEmpty(), "strace saw nothing");
        assertEquals(List.of(), attempts.stream().filter(line -> !line.contains(NetworkAttempt.ADDRESS)).toList());
    }

    @Test
    void doctorMakesNoSystemCallToTheNetwork() throws Exception {
        assertEquals(List.of(), traced(Main.class.getName(), "doctor"));
    }

    @Test
    void normsMakesNoSystemCallToTheNetwork() throws Exception {
        assertEquals(List.of(), traced(Main.class.getName(), "norms", "--size", "32x32", "--steps", "1", "--seeds", "1",
                "--max-tokens", "32", "--out", folder.resolve("norms").toString()));
    }

    @Test
    void doctorNeedsNoNetworkInterface() throws Exception {
        assumeTrue(run(List.of("unshare", "-rn", "true")) == 0, "skipped: no unshare here");
        assertEquals(0, run(command(List.of("unshare", "-rn"), Main.class.getName(), "doctor")));
    }

    /** Runs a program under strace; returns its system calls that name an address of another machine. */
    private List<String> traced(String... program) throws Exception {
        Path log = folder.resolve("strace.log");
        List<String> strace = List.of(
                "strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", log.toString());
        List<String> probe = new ArrayList<>(strace);
        probe.add("true");
        assumeTrue(run(probe) == 0, "skipped: no strace here");
        assertEquals(0, run(command(strace, program)));
        return Files.readAllLines(log).stream().filter(line -> REMOTE.matcher(line).find()).toList();
    }

    private static List<String> command(List<String> prefix, String... program) {
        List<String> command = new ArrayList<>(prefix);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED", "-Xmx256m",
                "-cp", System.getProperty("java.class.path")));
        command.addAll(List.of(program));
        return command;
    }

    private int run(List<String> command) throws InterruptedException {
        try {
            Process process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(folder.resolve("output.log").toFile())
                    .start();
            if (!process.waitFor(2, TimeUnit.MINUTES)) {
                process.destroyForcibly();
                throw new AssertionError(command + " does not end");
            }
            return process.exitValue();
        } catch (IOException _) {
            return -1;
        }
    }
}
