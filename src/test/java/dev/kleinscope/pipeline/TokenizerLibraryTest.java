package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.weights.ModelException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizerLibraryTest {

    @Test
    void theCacheIsAmongTheUsersCaches() {
        assertEquals(Path.of("/home/u/.cache/kleinscope"), TokenizerLibrary.cacheFolder(Map.of(), "/home/u"));
        assertEquals(Path.of("/caches/kleinscope"),
                TokenizerLibrary.cacheFolder(Map.of("XDG_CACHE_HOME", "/caches"), "/home/u"));
    }

    @Test
    void aRelativeCacheVariableIsIgnored() {
        assertEquals(Path.of("/home/u/.cache/kleinscope"),
                TokenizerLibrary.cacheFolder(Map.of("XDG_CACHE_HOME", "caches"), "/home/u"));
    }

    @Test
    void aCacheThatCannotBeMadeGivesWayToATemporaryOne(@TempDir Path folder) throws IOException {
        Path file = Files.createFile(folder.resolve("file"));
        Path cache = TokenizerLibrary.writableCache(file.resolve("kleinscope"));
        assertTrue(Files.isWritable(cache), cache.toString());
        assertTrue(cache.startsWith(Path.of(System.getProperty("java.io.tmpdir"))), cache.toString());
    }

    @Test
    void anEnvironmentThatTurnsReportingOnIsRefused() {
        ModelException e = assertThrows(ModelException.class,
                () -> TokenizerLibrary.refuseOverrulingEnvironment(Map.of("DJL_OFFLINE", "false")));
        assertTrue(e.getMessage().contains("DJL_OFFLINE=false"), e.getMessage());
        assertThrows(ModelException.class,
                () -> TokenizerLibrary.refuseOverrulingEnvironment(Map.of("RUST_FLAVOR", "cu122")));
    }

    @Test
    void anEnvironmentThatAgreesIsFine() {
        TokenizerLibrary.refuseOverrulingEnvironment(
                Map.of("DJL_OFFLINE", "true", "RUST_FLAVOR", "cpu", "OPT_OUT_TRACKING", "True"));
    }
}
