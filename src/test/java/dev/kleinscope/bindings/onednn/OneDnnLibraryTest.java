package dev.kleinscope.bindings.onednn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The libraries' way out of the jar, with files that stand in for them. */
class OneDnnLibraryTest {

    private static final Map<String, byte[]> JAR = Map.of("first.so", bytes("one"), "second.so", bytes("another"));

    @TempDir
    private Path folder;

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static OneDnnFiles files(Map<String, byte[]> jar) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        return new OneDnnFiles(Stream.of("first.so", "second.so")
                .map(name -> new OneDnnFiles.Part(name, HexFormat.of().formatHex(digest.digest(JAR.get(name))))).toList(),
                name -> jar.containsKey(name) ? new ByteArrayInputStream(jar.get(name)) : null);
    }

    private static void assertWhole(Path folder, List<Path> unpacked) throws IOException {
        assertEquals(List.of(folder.resolve("first.so"), folder.resolve("second.so")), unpacked);
        for (Path file : unpacked) {
            assertEquals(new String(JAR.get(file.getFileName().toString()), StandardCharsets.UTF_8), Files.readString(file));
        }
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(2, left.count(), "files in the folder");
        }
    }

    @Test
    void whatIsMissingDamagedOrHalfWrittenIsPutInPlaceWhole() throws Exception {
        Path cache = folder.resolve("new").resolve("cache");
        assertWhole(cache, files(JAR).unpack(cache));
        for (String damage : List.of("onf", "on", "", "one and more")) {
            Files.writeString(cache.resolve("first.so"), damage);
            assertWhole(cache, files(JAR).unpack(cache));
        }
        Files.delete(cache.resolve("second.so"));
        assertWhole(cache, files(JAR).unpack(cache));
    }

    @Test
    void whatIsWholeStaysAndNeedsNoJar() throws Exception {
        files(JAR).unpack(folder);
        FileTime old = FileTime.fromMillis(1_000_000);
        Files.setLastModifiedTime(folder.resolve("first.so"), old);
        assertWhole(folder, files(Map.of()).unpack(folder));
        assertEquals(old, Files.getLastModifiedTime(folder.resolve("first.so")));
    }

    @Test
    void aJarThatIsNotThereIsSaidInOneSentence() throws Exception {
        String why = OneDnnLibrary.tryOpen("Linux", "amd64", folder, files(Map.of()));
        assertEquals("oneDNN cannot be unpacked: first.so is not in this Kleinscope, as in the minimal package", why);
    }

    @Test
    void aJarOfAnotherVersionIsRefusedAndLeavesNothing() throws Exception {
        OneDnnFiles other = files(Map.of("first.so", bytes("one, changed"), "second.so", bytes("another")));
        IOException refusal = assertThrows(IOException.class, () -> other.unpack(folder));
        assertTrue(refusal.getMessage().contains("first.so in the class path is not the one"), refusal.getMessage());
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(0, left.count(), "files in the folder");
        }
    }

    @Test
    void aCacheThatCannotBeMadeIsSaidInOneSentence() throws Exception {
        Path file = Files.writeString(folder.resolve("file"), "no folder");
        String why = OneDnnLibrary.tryOpen("Linux", "amd64", file.resolve("cache"), files(JAR));
        assertNotNull(why);
        assertTrue(why.startsWith("oneDNN cannot be unpacked: the cache folder " + file), why);
        assertTrue(why.contains("XDG_CACHE_HOME"), why);
        assertEquals(1, why.lines().count(), why);
    }

    @Test
    void aReadOnlyCacheIsSaidInOneSentenceUnlessAllIsThere() throws Exception {
        assumeFalse(System.getProperty("user.name").equals("root"), "root writes everywhere");
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("r-xr-xr-x"));
        IOException refusal = assertThrows(IOException.class, () -> files(JAR).unpack(folder));
        assertTrue(refusal.getMessage().contains("the cache folder " + folder + " cannot be written"), refusal.getMessage());
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
        files(JAR).unpack(folder);
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("r-xr-xr-x"));
        assertWhole(folder, files(JAR).unpack(folder));
    }

    @Test
    void whatTheLoaderRefusesIsSaidInOneSentence() throws Exception {
        String why = OneDnnLibrary.tryOpen("Linux", "amd64", folder, files(JAR));
        assertNotNull(why);
        assertTrue(why.startsWith("oneDNN cannot be opened, which needs glibc 2.34"), why);
        assertEquals(1, why.lines().count(), why);
    }

    @Test
    void anotherMachineIsNamedAndNothingIsUnpacked() throws Exception {
        assertEquals("oneDNN comes for Linux on x86-64 only, here is Mac OS X on aarch64",
                OneDnnLibrary.tryOpen("Mac OS X", "aarch64", folder, files(JAR)));
        assertTrue(OneDnnLibrary.tryOpen("Linux", "aarch64", folder, files(JAR)).contains("Linux on aarch64"));
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(0, left.count(), "files in the folder");
        }
    }

    @Test
    void theCacheFollowsTheEnvironment() {
        assertEquals(Path.of("/caches/kleinscope/onednn"), OneDnnLibrary.cacheFolder(Map.of("XDG_CACHE_HOME", "/caches"), "/home/someone"));
        for (Map<String, String> none : List.of(Map.<String, String>of(), Map.of("XDG_CACHE_HOME", ""), Map.of("XDG_CACHE_HOME", "caches"))) {
            assertEquals(Path.of("/home/someone/.cache/kleinscope/onednn"), OneDnnLibrary.cacheFolder(none, "/home/someone"));
        }
    }

    @Test
    void theJarHoldsWhatThisVersionWasMadeFor() {
        assumeTrue(System.getProperty("os.name").equals("Linux") && System.getProperty("os.arch").equals("amd64"),
                "oneDNN comes for Linux on x86-64 only");
        assumeTrue(OneDnnLibrary.isAvailable() || !OneDnnLibrary.whyNot().contains("cannot be opened"), OneDnnLibrary::whyNot);
        assertTrue(OneDnnLibrary.isAvailable(), OneDnnLibrary.whyNot());
        assertTrue(OneDnnLibrary.version().startsWith("3.13."), OneDnnLibrary.version());
        assertFalse(OneDnnLibrary.isa().contains("instruction set"), OneDnnLibrary.isa());
        assertTrue(Files.isRegularFile(OneDnnLibrary.file()), OneDnnLibrary.file().toString());
    }
}
