package dev.kleinscope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** How the tools find their JDK, with folders that only look like JDKs. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "skipped: no bash")
class JdkSearchTest {

    @TempDir
    private Path folder;

    private record Answer(int status, String output) {}

    @Test
    void theJdkThatIsAskedForComesFirst() throws Exception {
        Path asked = jdk("asked for", "26", "java", "javac");
        Path other = jdk("other", "27.0.1", "java", "javac");
        Answer answer = find(Map.of("KLEINSCOPE_JAVA_HOME", asked.toString(), "JAVA_HOME", other.toString()));
        assertEquals(new Answer(0, asked.toString()), answer);
    }

    @Test
    void askingForAnOldJdkIsAnErrorAndNotASearch() throws Exception {
        Path old = jdk("old", "24.0.2", "java", "javac");
        Answer answer = find(Map.of("KLEINSCOPE_JAVA_HOME", old.toString(), "JAVA_HOME", System.getProperty("java.home")));
        assertEquals(ExitCodes.UNAVAILABLE, answer.status);
        assertTrue(answer.output.contains("holds no JDK 25 or later"), answer.output);
    }

    @Test
    void anOldJavaHomeIsPassedOver() throws Exception {
        Path old = jdk("old", "17.0.15", "java", "javac");
        Path young = jdk(".jdks/young", "999-ea", "java", "javac");
        assertEquals(new Answer(0, young.toString()), find(Map.of("JAVA_HOME", old.toString())));
    }

    @Test
    void aRuntimeWithoutACompilerIsPassedOver() throws Exception {
        Path runtime = jdk("runtime", "25.0.3", "java");
        Path young = jdk(".jdks/young", "999.0.1", "java", "javac");
        assertEquals(new Answer(0, young.toString()), find(Map.of("JAVA_HOME", runtime.toString())));
    }

    @Test
    void theNewestOfTheUsualFoldersIsTaken() throws Exception {
        jdk(".jdks/a", "999.0.9", "java", "javac");
        Path newest = jdk(".jdks/b", "999.0.10", "java", "javac");
        jdk(".jdks/c", "999", "java", "javac");
        assertEquals(new Answer(0, newest.toString()), find(Map.of()));
    }

    @Test
    void aJdkWithoutAReleaseFileIsAskedItself() throws Exception {
        Path home = jdk("silent", "25", "java", "javac");
        Files.delete(home.resolve("release"));
        Files.writeString(home.resolve("bin/java"), "#!/bin/sh\necho 'openjdk version \"25.0.1\" 2025-10-21' >&2\n");
        assertEquals(new Answer(0, home.toString()), find(Map.of("JAVA_HOME", home.toString())));
    }

    private Path jdk(String name, String version, String... programs) throws IOException {
        Path home = folder.resolve(name);
        Files.createDirectories(home.resolve("bin"));
        Files.writeString(home.resolve("release"), "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"" + version + "\"\n");
        for (String program : programs) {
            Path file = Files.createFile(home.resolve("bin").resolve(program));
            assertTrue(file.toFile().setExecutable(true));
        }
        return home;
    }

    /** Searches with the temporary folder as home and no java on the path. */
    private Answer find(Map<String, String> environment) throws IOException, InterruptedException {
        Path bin = Files.createDirectories(folder.resolve("path"));
        Path sed = Files.writeString(bin.resolve("sed"), "#!/bin/sh\nPATH=/usr/bin:/bin exec sed \"$@\"\n");
        assertTrue(sed.toFile().setExecutable(true));
        Path script = Path.of("tools", "lib", "jdk.sh").toAbsolutePath();
        ProcessBuilder builder = new ProcessBuilder(
                "/bin/bash", "-euc", ". \"$1\"; find_java javac; echo \"$java_home\"", "find", script.toString());
        builder.environment().clear();
        builder.environment().put("HOME", folder.toString());
        builder.environment().put("PATH", bin.toString());
        builder.environment().putAll(environment);
        Process process = builder.redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes()).strip();
        return new Answer(process.waitFor(), output);
    }
}
